"""`haulier-updater`: brings this host to another release of the agent, watches it, and goes back when it is bad.

It works when the agent is dead and the control plane away. `apply` and `rescue` are run by the service manager; the
other commands are for the host's owner, whose word counts more than any rollout's. Programs of a release never run as
root: systemd runs them as the agent's user, in haulier-agentd-program@DIGEST.service.

Exit codes: 0 all is well · 1 the command could not be done, for the reason given · 2 a release is on probation or
waits for something (`status` only) · 3 unusable arguments, configuration or state.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from agentd.core import updater_rules
from agentd.core.release_state import Phase, UpdaterState
from agentd.core.updater_rules import NothingToGoBackTo
from agentd.updater import service, settings
from agentd.updater.applying import TRUST, Applying, bringing, status_of
from agentd.updater.memory import Busy, Memory, MemoryBroken
from agentd.updater.refusing import Refused
from agentd.updater.settings import SettingsBroken, UpdaterSettings

OK, FAILED, UNDER_WAY, UNUSABLE = 0, 1, 2, 3

log = logging.getLogger("haulier.updater")

Command = Callable[[UpdaterSettings, argparse.Namespace], int]


def run() -> None:
    """Entry point of the `haulier-updater` script."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Carry out one command; returns its exit code. Prints one line for an error, never a traceback."""
    given = _parser().parse_args(arguments)
    command: Command = given.command
    # What is loaded here must not leave files behind in a release, whose every file is known.
    sys.dont_write_bytecode = True
    os.umask(0o022)
    _log_to_journal()
    try:
        return command(settings.load(given.prefix), given)
    except (SettingsBroken, MemoryBroken) as error:
        return _said(error, UNUSABLE)
    except (Busy, NothingToGoBackTo) as error:
        return _said(error, FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _said(f"{where}{error.strerror}; nothing is lost, the next run goes on from here", FAILED)
    except Exception as error:
        log.debug("failed", exc_info=True)
        return _said(f"unexpected {type(error).__name__}: {error}", FAILED)


def _said(what: object, code: int) -> int:
    sys.stderr.write(f"haulier-updater: {' '.join(str(what).split())}\n")
    return code


def _log_to_journal() -> None:
    plain = "JOURNAL_STREAM" in os.environ
    form = "%(levelname)s %(name)s %(message)s" if plain else "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(stream=sys.stderr, format=form, level=logging.INFO)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> "None":  # type: ignore[override]
        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: {message}\n")
        raise SystemExit(UNUSABLE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="haulier-updater", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    help_ = "look for everything below this directory instead of /"
    parser.add_argument("--prefix", type=Path, default=Path("/"), metavar="DIR", help=help_)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    def verb(name: str, command: Command, said: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = verbs.add_parser(name, help=said)
        added.set_defaults(command=command)
        return added

    verb("apply", _apply, "one pass: take what was fetched, switch, judge a release on probation, go back in time")
    verb("rescue", _rescue, "the agent was given up by the service manager: go back, or start it again")
    status = verb("status", _status, "say which release runs and how the last upgrade went")
    status.add_argument("-o", "--output", choices=("text", "json"), default="text")
    pin = verb("pin", _pin, "accept no other release than this one")
    pin.add_argument("version", help="a version, or a digest")
    verb("unpin", _unpin, "accept other releases again")
    verb("opt-out", _opt_out, "take no part in rollouts")
    verb("opt-in", _opt_in, "take part in rollouts again")
    trust = verb(
        "trust", _trust, "believe releases that are signed under this first root; only where none is trusted yet"
    )
    trust.add_argument("file", type=Path, help="root.json, as `haulier release keys init` made it")
    verb("rollback", _rollback, "go back to the previous release now, without network")
    return parser


def _applying(given: UpdaterSettings, memory: Memory) -> Applying:
    return Applying(given, memory, service.of_host(given), bringing(given))


def _apply(given: UpdaterSettings, _: argparse.Namespace) -> int:
    with Memory.open(given) as memory:
        _applying(given, memory).run()
    return OK


def _rescue(given: UpdaterSettings, _: argparse.Namespace) -> int:
    with Memory.open(given) as memory:
        applying = _applying(given, memory)
        if applying.state.phase in (Phase.SWITCHING, Phase.PROBATION):
            applying.change(updater_rules.rescued(applying.state), "rescued")
        elif applying.state.phase is Phase.IDLE:
            # A kept release that does not stay up suffers from something else, such as a broken configuration: it is
            # started again, so that nobody has to clear a limit by hand once that is mended.
            log.warning("the agent of the kept release was given up; starting it again")
            service.of_host(given).restart()
        applying.run()
    return OK


def _changed(given: UpdaterSettings, what: str, change: Callable[[UpdaterState], UpdaterState]) -> UpdaterState:
    with Memory.open(given) as memory:
        applying = _applying(given, memory)
        applying.change(change(applying.state), what)
        return applying.state


def _pin(given: UpdaterSettings, arguments: argparse.Namespace) -> int:
    _changed(given, "pinned", lambda state: replace(state, pin=arguments.version))
    return OK


def _unpin(given: UpdaterSettings, _: argparse.Namespace) -> int:
    _changed(given, "unpinned", lambda state: replace(state, pin=""))
    return OK


def _opt_out(given: UpdaterSettings, _: argparse.Namespace) -> int:
    _changed(given, "opted out", lambda state: replace(state, opted_out=True))
    return OK


def _opt_in(given: UpdaterSettings, _: argparse.Namespace) -> int:
    _changed(given, "opted in", lambda state: replace(state, opted_out=False))
    return OK


def _trust(given: UpdaterSettings, arguments: argparse.Namespace) -> int:
    from agentd.updater import verifying

    with Memory.open(given):
        trusted = given.state / TRUST
        if (trusted / verifying.ROOT).exists():
            return _said(f"{trusted} holds a root already: its successors come by themselves, signed by it", FAILED)
        try:
            verifying.trust(arguments.file.read_bytes(), trusted)
        except Refused as error:
            return _said(f"{arguments.file}: {error}", FAILED)
    return OK


def _rollback(given: UpdaterSettings, _: argparse.Namespace) -> int:
    with Memory.open(given) as memory:
        applying = _applying(given, memory)
        applying.change(updater_rules.back_asked(applying.state), "back asked")
        state = applying.run()
    sys.stdout.write(f"release {state.current.version if state.current else '?'} runs again\n")
    return OK


def _status(given: UpdaterSettings, arguments: argparse.Namespace) -> int:
    # Without the lock: an answer must not wait for a pass that is under way.
    state = Memory(given).load()
    told = {**status_of(state), "phase": state.phase.value}
    if arguments.output == "json":
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        sys.stdout.write(_lines(state, told))
    under_way = state.phase is not Phase.IDLE or told["state"] == "held"
    return UNDER_WAY if under_way else OK


def _lines(state: UpdaterState, told: dict[str, object]) -> str:
    def named(what: str, version: str, digest: str) -> str:
        return f"{what:<9} {version or '?'} ({digest[:12]})\n" if digest else f"{what:<9} none\n"

    current, previous = state.current, state.previous
    text = named("current", current.version if current else "", current.digest if current else "")
    text += named("previous", previous.version if previous else "", previous.digest if previous else "")
    if state.wanted is not None:
        text += named("wanted", state.wanted.release.version, state.wanted.release.digest)
    text += f"{'state':<9} {told['state']}"
    if told["cause_code"]:
        text += f": {told['cause_code']}: {told['cause']}"
    text += "\n"
    if state.pin:
        text += f"{'pin':<9} {state.pin}\n"
    if state.opted_out:
        text += f"{'rollouts':<9} none: the owner opted out\n"
    for digest in state.failed:
        text += f"{'failed':<9} {digest[:12]}\n"
    return text


if __name__ == "__main__":
    run()
