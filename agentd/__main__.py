"""`haulier-agentd`: join a control plane, run the daemon, and ask it how it does.

Exit codes: 0 all is well · 1 not ready (or the command failed) · 2 not live · 3 unusable arguments,
configuration,
policy or state directory.
"""

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agentd.supervision.service_notices import log_handler

OK, NOT_READY, NOT_LIVE, UNUSABLE = 0, 1, 2, 3
_ANSWER_WAIT_S = 3.0
# Errors that these commands raise with a sentence for people, by the module that defines them: importing
# them all
# just to catch them would make `check` slow.
_TOLD_ERRORS = {
    "ConfigBroken": UNUSABLE,
    "PolicyBroken": UNUSABLE,
    "NotJoined": UNUSABLE,
    "JournalBusy": UNUSABLE,
    "JournalBroken": UNUSABLE,
    "BadToken": UNUSABLE,
    "BadProxy": UNUSABLE,
    "ProbeUnavailable": UNUSABLE,
    "JournalFailed": NOT_READY,
    "HostFailed": NOT_READY,
    "JoinFailed": NOT_READY,
    "StepFailure": NOT_READY,
    "DropInFailed": NOT_READY,
    "SettingsRefused": UNUSABLE,
}


def run() -> None:
    """Entry point of the `haulier-agentd` script."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Carry out one command; returns its exit code. Prints one line for an error, never a traceback."""
    given = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except KeyboardInterrupt:
        return NOT_READY
    except BrokenPipeError:
        # Whoever read our output has enough; the interpreter must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_READY
    except Exception as error:
        logging.getLogger("haulier.agentd").debug("failed", exc_info=True)
        name = type(error).__name__
        said = str(error) if name in _TOLD_ERRORS else f"unexpected {name}: {error}"
        sys.stderr.write(f"haulier-agentd: {' '.join(said.split())}\n")
        return _TOLD_ERRORS.get(name, NOT_READY)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> "None":  # type: ignore[override]
        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: {message}\n")
        raise SystemExit(UNUSABLE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="haulier-agentd", description="The agent that runs steps on a data host.", epilog=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    state = _Parser(add_help=False)
    state.add_argument(
        "--state", type=Path, default=Path("/var/lib/haulier-agentd"), help="state directory (%(default)s)"
    )

    join = verbs.add_parser("join", parents=[state], help="trade a join token for an identity")
    join.add_argument("token", help="the token, or - to read it from standard input")
    join.add_argument("--name", default="", help="name of this agent; when left out, its known one or the host's")
    join.add_argument("--proxy", default="", help="web proxy on the way, http://HOST:PORT; kept for the daemon")
    join.set_defaults(command=_join)

    daemon = verbs.add_parser("run", parents=[state], help="run the daemon")
    config = Path("/etc/haulier/agent.toml")
    daemon.add_argument("--config", type=Path, default=config, help="configuration (%(default)s)")
    daemon.set_defaults(command=_run)

    drop_in = verbs.add_parser("drop-in", help="write what the policy allows as a drop-in of the systemd unit")
    drop_in.add_argument("--config", type=Path, default=config, help="configuration (%(default)s)")
    drop_in.add_argument("--apply", action="store_true", help="as root: install it; restart the daemon if it changed")
    drop_in.set_defaults(command=_drop_in)

    check = verbs.add_parser("check", parents=[state], help="probe: exit 0 when live (or ready)")
    kinds = ("liveness", "readiness", "rollout")
    check.add_argument("--probe", choices=kinds, default="readiness", help="what to ask (%(default)s)")
    check.add_argument("--policy", type=Path, help="explain this policy file instead, and what enforces it here")
    check.add_argument("--settings", type=Path, help="judge this directory of settings that a release may bring")
    check.add_argument("--would-run", type=Path, help="say whether --policy allows the step in this JSON file")
    check.add_argument("-o", "--output", choices=("text", "json"), default="text")
    check.set_defaults(command=_check)

    status = verbs.add_parser("status", parents=[state], help="say what the daemon does")
    status.add_argument("-o", "--output", choices=("text", "json"), default="text")
    status.set_defaults(command=_status)

    selftest = verbs.add_parser("selftest", parents=[state], help="see whether this release can do its work here")
    selftest.add_argument("--config", type=Path, default=config, help="configuration (%(default)s)")
    selftest.add_argument("--only", choices=("contact",), default="", help="only how the control plane answers")
    selftest.add_argument("-o", "--output", choices=("text", "json"), default="text")
    selftest.set_defaults(command=_selftest)

    journal = verbs.add_parser("journal", parents=[state], help="for upgrades: copy, try and mend the journal")
    journal.add_argument("verb", choices=("copy", "try", "mend"))
    journal.add_argument("--copy", type=Path, required=True, help="where the copy is")
    journal.add_argument("--incarnation", type=int, default=0, help="the highest that was seen")
    journal.set_defaults(command=_journal)

    forget = verbs.add_parser(
        "forget-place", parents=[state], help="take a datastore's root as it is now, though its mount or marker changed"
    )
    forget.add_argument("root", type=Path, metavar="ROOT", help="the root as its Datastore names it")
    forget.set_defaults(command=_forget_place)

    _add_inspect(verbs)
    return parser


def _add_inspect(verbs: "argparse._SubParsersAction[_Parser]") -> None:
    inspect = verbs.add_parser("inspect", help="propose columns, or whole manifests, for data on this host")
    inspect.add_argument(
        "place",
        metavar="PLACE",
        help="a file, a directory, or postgresql://USER@HOST:PORT/DATABASE?schema=S&sslmode=M; #TABLE behind it "
        "chooses one table; a password comes from PGPASSWORD",
    )
    inspect.add_argument(
        "--manifests",
        action="store_true",
        help="write whole manifests: a Datastore, and a Dataset for each table, file, or directory of parts",
    )
    inspect.add_argument("--owner", default="", help="who answers for the data; needed with --manifests")
    inspect.add_argument("--datastore", default="", metavar="NAME", help="name of the Datastore; else after the place")
    inspect.set_defaults(command=_inspect)


def _join(given: argparse.Namespace) -> int:
    _become_owner(given.state)
    joining = importlib.import_module("agentd.link.join")
    from_stdin = given.token == "-"  # noqa: S105 - the sign for standard input
    text = sys.stdin.readline().strip() if from_stdin else given.token
    enrolled = joining.join(text, given.name, given.state, given.proxy)
    by = f" through the proxy {enrolled.proxy}" if enrolled.proxy else ""
    sys.stdout.write(
        f"joined as {enrolled.name} ({enrolled.agent_id}); control plane at {enrolled.session_address}{by}\n"
    )
    return OK


def _become_owner(state: Path) -> None:
    """As root, go on as the user whose state this is: what root wrote there the daemon could not read."""
    if os.geteuid() == 0 and state.is_dir() and (owner := state.stat()).st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
        os.umask(0o077)


def _run(given: argparse.Namespace) -> int:
    logging.basicConfig(handlers=[log_handler()], level=logging.INFO)
    daemon = importlib.import_module("agentd.daemon")
    daemon.run(given.state.absolute(), given.config.absolute(), os.environ.get(daemon.STOP_AT_VARIABLE, ""))
    return OK


def _check_policy(given: argparse.Namespace) -> int:
    policy_check = importlib.import_module("agentd.checks.policy_check")
    if given.would_run is None:
        sys.stdout.write(policy_check.explained(given.policy))
        return OK
    try:
        sys.stdout.write(policy_check.would_run(given.policy, given.would_run))
    except policy_check.PolicyRefused as error:
        sys.stdout.write(policy_check.refusal(error))
        return NOT_READY
    return OK


def _drop_in(given: argparse.Namespace) -> int:
    drop_in = importlib.import_module("agentd.enforcement.unit_drop_in")
    config, reading = importlib.import_module("agentd.config.reading"), importlib.import_module("agentd.policy.reading")
    release = importlib.import_module("agentd.installation.release_tree").own_tree()
    policy = reading.load(config.load(given.config, release).policy, release)
    text = drop_in.render(policy, drop_in.systemd_version())
    if not given.apply:
        sys.stdout.write(text)
        return OK
    changed = drop_in.apply(text)
    sys.stdout.write("the drop-in was written and the daemon told\n" if changed else "the drop-in is as it should be\n")
    return OK


def _check(given: argparse.Namespace) -> int:
    if given.settings is not None:
        sys.stdout.write(importlib.import_module("agentd.checks.settings_check").explained(given.settings))
        return OK
    if given.policy is not None:
        return _check_policy(given)
    if given.would_run is not None:
        sys.stderr.write("haulier-agentd: --would-run needs --policy FILE, the policy to ask\n")
        return UNUSABLE
    status_socket = importlib.import_module("agentd.supervision.status_socket")
    if not given.state.is_dir():
        sys.stderr.write(
            f"haulier-agentd: {given.state} is not a directory: name the one this agent joined with, by --state\n"
        )
        return UNUSABLE
    code, why = OK, []
    settings: dict[str, str] = {}
    try:
        told = status_socket.ask(given.state, _ANSWER_WAIT_S)
        settings, why = (
            told.get("settings", {}),
            importlib.import_module("agentd.supervision.readiness").reasons(given.probe, told),
        )
        code = NOT_READY if why else OK
    except status_socket.NoAnswer as error:
        code, why = NOT_LIVE, [str(error)]
    if given.output == "json":
        sys.stdout.write(json.dumps({"probe": given.probe, "ok": code == OK, "reasons": why, **settings}) + "\n")
    else:
        sys.stdout.writelines(f"{name + ':':14} {origin}\n" for name, origin in settings.items())
        mark = "" if code == NOT_LIVE else f"not {'ready' if given.probe == 'readiness' else 'now'}: "
        sys.stderr.writelines(f"haulier-agentd: {mark}{reason}\n" for reason in why)
    return code


def _status(given: argparse.Namespace) -> int:
    status_socket = importlib.import_module("agentd.supervision.status_socket")
    try:
        told = status_socket.ask(given.state, _ANSWER_WAIT_S)
    except status_socket.NoAnswer as error:
        sys.stderr.write(f"haulier-agentd: {error}\n")
        return NOT_LIVE
    if given.output == "json":
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return OK
    link = "connected to" if told["connected"] else "not connected to"
    state = " (draining)" if told["draining"] else ""
    limits = told["enforced"]
    lines = [
        f"agent        {told['name']} ({told['agent_id']}){state}",
        f"session      {link} {told['session_address']}{' through ' + told['proxy'] if told.get('proxy') else ''}",
        f"incarnation  {told['incarnation']}, version {told['version']}",
        f"slots        {len(told['held'])} of {told['slots']} in use",
    ]
    lines += [f"{name:12} {origin}" for name, origin in told.get("settings", {}).items()]
    seen, trouble = told["audit"]["witnessed"], told["audit"]["trouble"]
    if seen is not None:
        lines.append(f"audit log    seen up to entry {seen['size']}, era {seen['era']}, root {seen['root'][:16]}")
    if trouble:
        lines.append(f"AUDIT LOG    IS NOT WHAT THIS AGENT SAW: {trouble}")
    for held in told["held"]:
        done = f"{held['watermark']}/{held['total']}" if held["total"] else str(held["watermark"])
        lines.append(f"  {held['attempt_id']}  {held['step']}  {held['state']}  {done}  {held['stage']}".rstrip())
    lines += [f"{name:12} limit {how if how == 'enforced' else f'not enforced: {how}'}" for name, how in limits.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return OK


def _selftest(given: argparse.Namespace) -> int:
    # A library that is loaded for the first time must not leave compiled files in the release.
    sys.dont_write_bytecode = True
    running = importlib.import_module("agentd.selftest.running")
    code: int = running.main(given.state.absolute(), given.config.absolute(), given.only, given.output == "json")
    return code


def _journal(given: argparse.Namespace) -> int:
    mending = importlib.import_module("agentd.journal.mending")
    attempt_files = importlib.import_module("agentd.runner.attempt_files")
    path = given.state.absolute() / "journal.db"
    if given.verb == "copy":
        mending.copy(path, given.copy)
    elif given.verb == "try":
        mending.try_out(given.copy)
    elif mending.mend(path, given.copy, attempt_files.written_down(given.state.absolute()), given.incarnation):
        sys.stdout.write("the journal was restored from before the switch and brought up to date\n")
    return OK


def _forget_place(given: argparse.Namespace) -> int:
    _become_owner(given.state)
    mounts = importlib.import_module("agentd.executors.mounts")
    if mounts.forget(given.state.absolute(), given.root):
        sys.stdout.write(f"{given.root} is taken as it is at its next use\n")
        return OK
    sys.stderr.write(f"haulier-agentd: no step has used {given.root} here; name the root as its Datastore does\n")
    return NOT_READY


def _inspect(given: argparse.Namespace) -> int:
    inspection = importlib.import_module("agentd.datastores.inspection.inspecting")
    if given.manifests and not given.owner:
        sys.stderr.write("haulier-agentd inspect: --manifests needs --owner: who answers for the data?\n")
        return UNUSABLE
    whole = given.owner, given.datastore
    found = inspection.inspect_whole(given.place, *whole) if given.manifests else inspection.inspect(given.place)
    sys.stdout.write(found.text)
    for failure in found.failures:
        sys.stderr.write(f"haulier-agentd inspect: {' '.join(failure.split())}\n")
    return NOT_READY if found.failures else OK


if __name__ == "__main__":
    run()
