"""`haulier-controlplane`: what is done on the control plane's own host.

Exit codes: 0 ok · 1 doctor or audit found something, or check: not ready · 2 wrong usage · 3 the configuration or state
cannot be used · 4 check: nobody answers · 6 it stopped on an internal error.
"""

import argparse
import asyncio
import json
import logging
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from controlplane.config import Config, ConfigError, load
from controlplane.host.service_notices import log_handler
from controlplane.identity.peers import IdentityError
from controlplane.store.port import StoreFailed
from controlplane.store.sqlite.library import Error, UnsafeLibrary
from controlplane.store.sqlite.revisions import NewerRevision

DEFAULT_FILE = Path("/etc/haulier/controlplane.toml")
_USER_ERRORS = (ConfigError, IdentityError, StoreFailed, Error, UnsafeLibrary, NewerRevision, OSError, RuntimeError)


def run(arguments: Sequence[str] | None = None) -> None:
    """Entry point: parse, act, exit with a documented code and never a traceback."""
    parsed = _parser().parse_args(arguments)
    os.umask(0o077)
    # gRPC's own words about ports and strangers' handshakes are not for the people who read our log.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.basicConfig(level=logging.INFO, handlers=[log_handler()])
    try:
        if parsed.config is None and DEFAULT_FILE.is_file():
            parsed.config = DEFAULT_FILE
        config = load(parsed.config)
        if parsed.state is not None:
            config = replace(config, state_dir=parsed.state)
        code = parsed.act(config, parsed)
    except _USER_ERRORS as error:
        print(f"haulier-controlplane: {error}", file=sys.stderr)
        code = 3
    except KeyboardInterrupt:
        code = 130
    # Whatever is left is our own error, and a person can do nothing with its traceback.
    except Exception as error:  # noqa: BLE001
        print(f"haulier-controlplane: internal error: {type(error).__name__}: {error}", file=sys.stderr)
        code = 6
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="haulier-controlplane",
        description="The Haulier control plane.",
        epilog="exit codes: 0 ok, 1 doctor or audit found something, or check: not ready, 2 wrong usage, "
        "3 configuration or state unusable, 4 check: nobody answers, 6 internal error",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--state", type=Path, help="state directory (default: state_dir of the configuration)")
    common.add_argument("--config", type=Path, help=f"configuration (TOML; {DEFAULT_FILE} where it is)")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    init = verbs.add_parser("init", parents=[common], help="make the state: authority, store, administrator's profile")
    init.set_defaults(act=_init)
    serve = verbs.add_parser("serve", parents=[common], help="run the control plane")
    serve.set_defaults(act=_serve)
    doctor = verbs.add_parser("doctor", parents=[common], help="check the store against the promises")
    doctor.set_defaults(act=_doctor)
    audit = verbs.add_parser("audit", parents=[common], help="verify the audit log in the store's file")
    audit.add_argument("--store", type=Path, help="another store's file, such as a copy")
    audit.add_argument("--witness", type=Path, action="append", default=[], help="what an agent saw; may be repeated")
    audit.add_argument("--key", default="", help="id of the key that must have signed")
    audit.add_argument("-o", "--output", choices=("text", "json"), default="text")
    audit.set_defaults(act=_audit)
    check = verbs.add_parser("check", parents=[common], help="ask the process that serves how it is")
    check.add_argument("--probe", choices=("liveness", "readiness"), default="readiness", help="what to ask")
    check.add_argument("-o", "--output", choices=("text", "json"), default="text")
    check.set_defaults(act=_check)
    backup = verbs.add_parser("backup", parents=[common], help="copy the store, also while it serves")
    backup.add_argument("file", type=Path, metavar="FILE", help="where to; nothing may be there")
    backup.add_argument("--with-identity", action="store_true", help="also FILE.identity: keys that prove who we are")
    backup.set_defaults(act=_backup)
    restore = verbs.add_parser("restore", parents=[common], help="put a backup in place; the control plane is stopped")
    restore.add_argument("file", type=Path, metavar="FILE", help="the backup")
    restore.add_argument("--reason", required=True, help="why: it is signed, and every agent is told")
    restore.add_argument("--replace", action="store_true", help="set a store that is there aside")
    restore.set_defaults(act=_restore)
    accept = verbs.add_parser("accept-log", parents=[common], help="let a contradicted audit log go on as it is")
    accept.add_argument("--reason", required=True, help="why: it is signed, and every agent is told")
    accept.set_defaults(act=_accept_log)
    return parser


def _init(config: Config, parsed: argparse.Namespace) -> int:
    from controlplane.admin.init import initialise

    _become_owner(config.state_dir)
    profile = asyncio.run(initialise(config))
    print(f"the state is in {config.state_dir}; the administrator's profile is {profile}")
    # The same options again: a file may name the listeners whose port the profile holds.
    given = [("--config", parsed.config), ("--state", parsed.state)]
    options = [f"{name} {path}" for name, path in given if path is not None] or [f"--state {config.state_dir}"]
    print(f"next: haulier-controlplane serve {' '.join(options)}")
    print(f"then: export HAULIER_PROFILE={profile}")
    return 0


def _become_owner(state: Path) -> None:
    """As root, go on as the user whose state this is: what root wrote there the service could not read."""
    if os.geteuid() == 0 and state.is_dir() and (owner := state.stat()).st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


def _serve(config: Config, _: argparse.Namespace) -> int:
    import uvloop

    from controlplane.serve import serve

    # An agent is a connection, and the usual soft limit of 1,024 descriptors is no statement about our fleet.
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(serve(config))
    return 0


def _doctor(config: Config, _: argparse.Namespace) -> int:
    from controlplane.host.state_layout import STORE_FILE
    from controlplane.service.health.doctor import findings
    from controlplane.store.sqlite.store import open_snapshot

    broken = 0
    for found in findings(open_snapshot(config.state_dir / STORE_FILE)):
        broken += 1
        print(
            json.dumps(asdict(found))
            if not sys.stdout.isatty()
            else f"{found.promise} {found.subject}: {found.message}"
        )
    if not broken:
        print("the store keeps every promise that a doctor can check", file=sys.stderr)
    return 1 if broken else 0


def _audit(config: Config, parsed: argparse.Namespace) -> int:
    from controlplane.admin.offline_audit import verify_store
    from controlplane.host.state_layout import IDENTITY_DIR, STORE_FILE

    store: Path = parsed.store or config.state_dir / STORE_FILE
    identity = store.parent / IDENTITY_DIR
    verdict = verify_store(store, identity, parsed.witness, parsed.key)
    if parsed.output == "json":
        print(json.dumps({"intact": not verdict.faults, **asdict(verdict)}, indent=2))
    else:
        for fault in verdict.faults:
            print(f"fault: {fault}")
        if not verdict.faults:
            print(f"the audit log is intact: {verdict.entries} entries, signed by key {verdict.key_id}")
    return 1 if verdict.faults else 0


def _check(config: Config, parsed: argparse.Namespace) -> int:
    from controlplane.admin.check import Silent, ask
    from controlplane.host.state_layout import LISTENING_FILE

    try:
        good, reasons = ask(config.state_dir, LISTENING_FILE, parsed.probe)
        code = 0 if good else 1
    except Silent as error:
        good, reasons, code = False, [{"code": "silent", "message": str(error), "blocks": True}], 4
    if parsed.output == "json":
        print(json.dumps({"probe": parsed.probe, "ok": good, "reasons": reasons}))
    else:
        for reason in reasons:
            print(f"{'blocks' if reason['blocks'] else 'warns'} {reason['code']}: {reason['message']}", file=sys.stderr)
    return code


def _backup(config: Config, parsed: argparse.Namespace) -> int:
    from controlplane.admin.backup import back_up
    from controlplane.host.state_layout import IDENTITY_DIR, STORE_FILE

    identity = config.state_dir / IDENTITY_DIR if parsed.with_identity else None
    made = back_up(config.state_dir / STORE_FILE, identity, parsed.file)
    print(f"the store is copied to {made.store} ({made.size_bytes} bytes)")
    if made.identity is None:
        print(
            "without the identity: keep STATE/identity elsewhere too, or every agent must join again", file=sys.stderr
        )
    else:
        print(f"the identity is copied to {made.identity}: whoever has it can pose as this control plane")
    return 0


def _restore(config: Config, parsed: argparse.Namespace) -> int:
    from controlplane.admin.restore import restore

    done = asyncio.run(restore(config, parsed.file, parsed.reason, replace=parsed.replace))
    print(f"restored with {done.entries} entries; generation {done.generation}, era {done.era} of the audit log")
    if done.set_aside is not None:
        print(f"the store of before is {done.set_aside}")
    print("revocations, tokens and roles are those of the backup: look through `haulier agent list` once it serves")
    return 0


def _accept_log(config: Config, parsed: argparse.Namespace) -> int:
    from controlplane.admin.restore import accept_log

    begun = asyncio.run(accept_log(config, parsed.reason))
    print(f"era {begun.era} of the audit log begins with {begun.size} entries; every agent will say so in its log")
    return 0


if __name__ == "__main__":
    run()
