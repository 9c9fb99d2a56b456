"""What follows from what the witness of the audit log has seen."""

from agentd.core import effects, events
from agentd.core.effects import Effect
from agentd.core.witnessing import Alarmed, Answer, Kept, Unsure, Witness


def handle(witness: Witness, event: events.WitnessEvent) -> list[Effect]:
    """Tell the witness, and return what is to be done."""
    if isinstance(event, events.HeadShown):
        return of(witness.see(event.shown))
    return of(witness.judged(event.shown, is_signed=event.are_good))


def of(answer: Answer) -> list[Effect]:
    """Return what is to be done."""
    match answer:
        case Kept(head, note):
            return [effects.KeepHead(head), *([effects.Alarm(note)] if note else [])]
        case Unsure(shown):
            return [effects.CheckSignatures(shown)]
        case Alarmed(because):
            return [effects.Alarm(f"the control plane's audit log is not what this agent saw: {because}")]
    return []
