"""`haulier-agentd check --policy`: what a policy says, what enforces it here, and whether a step would be allowed."""

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from agentd.datastores.port.failures import StepFailure
from agentd.enforcement.allowing import rule_of, touched
from agentd.enforcement.program_runner import rule_for, sealed_copy, words_for
from agentd.executors.registry import BadExecutor, StepKind, kind_of
from agentd.executors.uses import HostProgram
from agentd.installation.release_tree import own_tree
from agentd.isolation import cgroups
from agentd.isolation.landlock import version
from agentd.policy import reading
from agentd.policy.explaining import sentences
from agentd.policy.host_policy import Policy
from agentd.policy.kinds import KindRule
from agentd.policy.refusals import PolicyRefused


def explained(path: Path) -> str:
    """The policy in sentences, and what enforces it on this host. Raises PolicyBroken."""
    policy = reading.load(path, own_tree())
    return "\n".join(
        [f"The policy {policy.origin}", "", *sentences(policy), "", "On this host", "", *_enforced(policy), ""]
    )


def _enforced(policy: Policy) -> Iterator[str]:
    kernel = version()
    if kernel:
        yield f"paths: enforced by the kernel (Landlock, version {kernel})"
    elif policy.sandbox == "required":
        yield 'paths: this kernel has no Landlock, and sandbox is "required": no step runs'
    else:
        yield "paths: checked by name only, because this kernel has no Landlock"
    for controller, how in cgroups.find("haulier", make=False).told().items():
        yield f"{controller}: {_limited(controller, how)}"
    links = Path("/proc/sys/fs/protected_hardlinks")
    if links.exists() and links.read_text(encoding="ascii").strip() == "0":
        yield "hard links: anybody may link files of others into a root (sysctl fs.protected_hardlinks=1 forbids it)"
    for root in dict.fromkeys((*policy.roots, *(path for rule in policy.datastores for path in rule.paths))):
        if not Path(root).exists():
            yield f"{root}: is not there"


def _limited(controller: str, how: str) -> str:
    if how == cgroups.ENFORCED:
        return "limits are enforced by control groups, where the daemon starts like this command"
    instead = {
        "memory": "limited by RLIMIT_DATA instead, for each process",
        "pids": "limited by RLIMIT_NPROC instead, not for root",
    }
    return f"{instead.get(controller, 'limits are not enforced')}: {how}"


def would_run(path: Path, step: Path) -> str:
    """Say that a step would be allowed, in one line. Raises PolicyBroken, PolicyRefused, StepFailure (bad_params)."""
    policy = reading.load(path, own_tree())
    try:
        told: dict[str, Any] = json.loads(step.read_text(encoding="utf-8"))
        kind, undo = str(told["kind"]), bool(told.get("undo", False))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = error.strerror if isinstance(error, OSError) else 'it must be JSON with "kind" and "params"'
        raise StepFailure("bad_params", f"step {step} cannot be read: {what}") from error
    installed = _installed(kind)
    policy.check_kind(kind, KindRule() if installed is None else rule_of(installed))
    if installed is None:
        return f"allowed: step kind {kind!r}, which is not installed here\n"
    uses = installed.uses_of_read(_params(installed, told.get("params", {}), step), undo)
    if uses.host_program is not None:
        return _would_run_program(policy, uses.host_program, undo)
    places = [f"{place.name} ({'writes' if place.writes else 'reads'})" for place in touched(policy, uses)]
    if uses.network is True:
        places.append("any server")
    elif uses.network:
        places.append(f"servers at port {', '.join(map(str, uses.network))}")
    if uses.programs:
        places.append("programs of the system")
    return f"allowed: {kind}{' undone' if undo else ''}, with {', '.join(dict.fromkeys(places)) or 'no datastore'}\n"


def _installed(kind: str) -> StepKind | None:
    try:
        return kind_of(kind)
    except BadExecutor:
        return None


def _params(kind: StepKind, told: Any, step: Path) -> Message | bytes:
    if kind.params is None:
        return json.dumps(told).encode()
    try:
        return json_format.ParseDict(told, kind.params())
    except json_format.ParseError as error:
        raise StepFailure("bad_params", f"step {step}: {error}") from error


def _would_run_program(policy: Policy, program: HostProgram, undo: bool) -> str:
    rule = rule_for(policy, program.name, undo)
    if rule is None:
        return f"allowed: there is nothing to undo of program {program.name!r}\n"
    words = words_for(policy, rule, program.values)
    os.close(sealed_copy(rule))
    return f"allowed: {shlex.join([rule.path, *words])}\n"


def refusal(error: PolicyRefused) -> str:
    """A refusal as two lines for people."""
    return f"refused: {error}\n{error.hint}\n"
