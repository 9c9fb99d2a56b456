"""One pass of the updater: from what is remembered and what is there to the next state, until nothing moves.

Every state is durable before anything is done about it, and everything that is done may be done again: a pass that was
killed anywhere is simply begun anew.
"""

import errno
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agentd.core import updater_rules
from agentd.core.release_state import Ending, Phase, Release, Request, UndecodableState, UpdaterState, request_from_text
from agentd.processes.identity import boot_id, boottime
from agentd.updater import exchange, links
from agentd.updater.black_box import DIRECTORY, BlackBoxes
from agentd.updater.evidence import ProbationWitness, ask
from agentd.updater.memory import Memory
from agentd.updater.programs import Programs
from agentd.updater.refusing import Refused
from agentd.updater.service import Service
from agentd.updater.settings import UpdaterSettings

log = logging.getLogger("haulier.updater")

TRUST, WORK = "tuf", "work"
COPY, BEFORE = "journal.copy", "journal.before"
_MOVES_MAX = 12
_FULL = (errno.ENOSPC, errno.EDQUOT)

# Brings a wanted release among the versions; raises Refused.
Bring = Callable[[Request, UpdaterState], None]


class Applying:
    """The updater of one host, alone with its memory."""

    def __init__(self, settings: UpdaterSettings, memory: Memory, service: Service, bring: Bring) -> None:
        self._settings = settings
        self._memory = memory
        self._service = service
        self._bring = bring
        self._programs = Programs(settings)
        self._witness = ProbationWitness(settings, service, self._programs)
        self._boxes = BlackBoxes(settings, memory, self._programs)
        self.state = memory.load()

    def run(self) -> UpdaterState:
        """Go on until nothing moves any more, then tell the agent."""
        self._tidy()
        self._adopt()
        for _ in range(_MOVES_MAX):
            if not self._moved():
                break
        if self.state.phase is Phase.IDLE:
            self._settle()
        self.tell()
        return self.state

    def change(self, new: UpdaterState, what: str) -> None:
        """Make a state that somebody asked for durable."""
        if new != self.state:
            self._memory.save(new, what)
            self.state = new
            self.tell()

    def _moved(self) -> bool:
        before = self.state
        match before.phase:
            case Phase.IDLE:
                self._take()
            case Phase.STAGED:
                self._begin()
            case Phase.SWITCHING:
                self._switch()
            case Phase.PROBATION:
                self._judge()
            case Phase.RETURNING:
                self._return()
        return self.state != before and self.state.phase is not before.phase

    # Taking a release in.

    def _take(self) -> None:
        request, wanted = self._asked()
        if request is None or not wanted:
            return
        log.info("taking release %s (%s)", request.release.version, request.release.digest[:12])
        try:
            if updater_rules.is_step_back(self.state, request):
                self._check(request.release)
            else:
                self._bring(request, self.state)
        except Refused as error:
            self._turned_down(request, error.code, str(error), error.holds)
        except OSError as error:
            full = error.errno in _FULL
            code = "disk_full" if full else "disk_error"
            self._turned_down(request, code, f"{error.filename or 'the disk'}: {error.strerror}", True)
        else:
            self.change(updater_rules.staged(self.state, request), "staged")

    def _asked(self) -> tuple[Request | None, bool]:
        """What the agent asks for, and whether to go on with it."""
        try:
            text = exchange.read_text(self._settings.agent_state, exchange.REQUEST)
            request = None if text is None else request_from_text(text)
        except (Refused, UndecodableState) as error:
            log.error("the agent's request is not used: %s", error)
            return None, False
        new, wanted = updater_rules.consider(self.state, request)
        self.change(new, "considered")
        return request, wanted

    def _turned_down(self, request: Request, code: str, message: str, holds: bool) -> None:
        log.warning("release %s is not taken: %s: %s", request.release.version, code, message)
        turn = updater_rules.held if holds else updater_rules.refused
        self.change(turn(self.state, request, code, message), "held" if holds else "refused")

    def _check(self, release: Release) -> None:
        """See that a release lies here whole. Raises Refused."""
        # Loaded only here: most passes have nothing to check, and should be over in no time.
        from agentd.updater.unpacking import faults_of

        faults = faults_of(self._settings.tree(release.digest))
        if faults:
            raise Refused("damaged", f"release {release.version} on this host is damaged: {faults[0]}")

    # The switch.

    def _begin(self) -> None:
        request, wanted = self._asked()
        if request is None or not wanted or self.state.phase is not Phase.STAGED or self.state.current is None:
            return
        old, new = self.state.current.digest, request.release.digest
        try:
            self._check(request.release)
            self._check_journal(old, new)
        except Refused as error:
            self._turned_down(request, error.code, str(error), error.holds)
            return
        before = self._witness.before(self.state)
        saved = self._programs.copy_journal(old, BEFORE)
        if saved.code != 0:
            self._turned_down(request, "disk_full", f"the journal could not be kept: {_first(saved.err)}", True)
            return
        self.change(updater_rules.switch_begun(self.state, before, boot_id(), boottime()), "switch begun")

    def _check_journal(self, old: str, new: str) -> None:
        """The new release must read and write the journal, and the old one read it again afterwards."""
        copied = self._programs.copy_journal(old, COPY)
        if copied.code != 0:
            raise Refused("disk_full", f"the journal cannot be copied: {_first(copied.err)}")
        for digest in (new, old):
            tried = self._programs.try_journal(digest, COPY)
            if tried.code != 0:
                who = "the new release" if digest == new else "after the new release wrote to it, the old one"
                raise Refused("journal_incompatible", f"{who} cannot use the journal: {_first(tried.err)}")

    def _switch(self) -> None:
        self._point()
        log.info("starting release %s", self.state.current)
        self._service.restart()
        self.change(updater_rules.restarted(self.state, boot_id(), boottime()), "restarted")

    def _point(self) -> None:
        current, previous = (each.digest if each else "" for each in updater_rules.links(self.state))
        if current:
            links.point_both(self._settings.home, current, previous)

    # Probation.

    def _judge(self) -> None:
        self._point()
        request, _ = self._asked()
        del request
        if self.state.phase is not Phase.PROBATION:
            return
        now = boottime()
        seen = self._witness.look(self.state, now)
        new = updater_rules.looked(self.state, seen, boot_id(), now)
        if new.phase is Phase.IDLE:
            log.info("release %s is kept", new.current)
        elif new.phase is Phase.RETURNING and new.last is not None:
            log.error("going back: %s: %s", new.last.code, new.last.message)
        self.change(new, "kept" if new.phase is Phase.IDLE else "looked")

    # The way back.

    def _return(self) -> None:
        assert self.state.probation is not None and self.state.current is not None
        answer = ask(self._settings.agent_state)
        self._boxes.keep(self.state, answer)
        self._service.stop()
        # The journal is the old release's again; what the new one left unreadable is mended from copy and attempts.
        mended = self._programs.mend_journal(
            self.state.current.digest, BEFORE, max(answer.incarnation, self.state.probation.first, 0)
        )
        if mended.code != 0:
            log.error("the journal could not be mended: %s", _first(mended.err))
        self._point()
        self._service.restart()
        self.change(updater_rules.returned(self.state), "returned")

    # Around it.

    def _tidy(self) -> None:
        for each in (self._settings.home, self._settings.state, self._settings.state / DIRECTORY):
            for left in each.glob("*.new"):
                left.unlink()

    def _adopt(self) -> None:
        """While nothing is under way the links may be moved by others, such as a package: what they say is kept."""
        if self.state.phase is not Phase.IDLE:
            return
        current, previous = self._memory.linked()
        if current is not None and current != self.state.current:
            log.info("release %s was installed by other hands", current.version)
            self.change(replace(self.state, current=current, previous=previous, tested=None), "installed")

    def _settle(self) -> None:
        """Nothing is under way: the updater itself is of the kept release, and what nothing needs goes."""
        if self.state.current is not None:
            links.settle_updater(self._settings.home, self.state.current.digest)
        kept = {each.digest for each in (self.state.current, self.state.previous) if each is not None}
        if not links.can_see(ask(self._settings.agent_state).pid):
            # Steps that cannot be seen may run from any release: none is removed until the agent is there to be seen.
            kept |= {each.name for each in self._settings.versions.glob("[!.]*")}
        for digest in links.remove_strangers(self._settings, kept):
            log.info("removed release %s, which nothing needs", digest[:12])

    def tell(self) -> None:
        """Tell the agent, which tells the control plane."""
        text = json.dumps(status_of(self.state), indent=1, sort_keys=True) + "\n"
        if text == self._told():
            return
        try:
            exchange.write_text(self._settings.agent_state, exchange.STATUS, text)
        except OSError as error:
            log.warning("the agent cannot be told: %s", error)

    def _told(self) -> str | None:
        try:
            return exchange.read_text(self._settings.agent_state, exchange.STATUS)
        except Refused:
            return None


def bringing(settings: UpdaterSettings) -> Bring:
    """How a wanted release comes among the versions: out of the agent's reach, verified, unpacked."""

    def bring(request: Request, state: UpdaterState) -> None:
        from agentd.updater import unpacking, verifying

        wanted = verifying.RequestedRelease(request.release.version, request.release.digest, request.target_path)
        running = state.current.version if state.current is not None else ""
        here = verifying.Here(running, os.uname().machine, settings.state / WORK, settings.versions)
        incoming, trusted = settings.agent_upgrade / exchange.INCOMING, settings.state / TRUST
        if not (trusted / verifying.ROOT).exists() and settings.root.is_file():
            verifying.trust(settings.root.read_bytes(), trusted)
        verified = verifying.verify(incoming, trusted, wanted, here, time.time())
        try:
            unpacking.unpack(verified, settings.versions)
        finally:
            verified.artefact.unlink(missing_ok=True)

    return bring


_STATES = {Ending.KEPT: "kept", Ending.ROLLED_BACK: "rolled_back", Ending.HELD: "held", Ending.REFUSED: "refused"}


def status_of(state: UpdaterState) -> dict[str, Any]:
    """What the agent is told: fields as in the contract's ReleaseStatus."""
    last, probation, wanted = state.last, state.probation, state.wanted
    ending = _STATES[last.ending] if last is not None else "kept"
    code, message = (last.code, last.message) if last is not None else ("", "")
    if state.phase in (Phase.STAGED, Phase.SWITCHING):
        ending, code, message = "staged" if state.phase is Phase.STAGED else "probation", "", ""
    elif state.phase is Phase.PROBATION and probation is not None:
        held = bool(probation.held_code)
        ending, code, message = "held" if held else "probation", probation.held_code, probation.held_message
    elif state.phase is Phase.RETURNING:
        ending = "probation"
    return {
        "format": 1,
        "state": ending,
        "version": state.current.version if state.current else "",
        "digest": state.current.digest if state.current else "",
        "previous_digest": state.previous.digest if state.previous else "",
        "request_id": wanted.request_id if wanted else last.request_id if last else "",
        "rollout_id": wanted.rollout_id if wanted else last.rollout_id if last else "",
        "wanted_digest": wanted.release.digest if wanted else last.digest if last else "",
        "cause_code": code,
        "cause": message,
        "failed_digests": list(state.failed),
        "pin": state.pin,
        "opted_out": state.opted_out,
    }


def _first(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
