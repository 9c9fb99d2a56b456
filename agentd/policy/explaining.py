"""The policy in sentences, for the owner of the host."""

from collections.abc import Iterator, Sequence

from agentd.datastores.engines import ENGINES
from agentd.policy.host_policy import Policy
from agentd.policy.limits import Limits
from agentd.policy.places import ANYTHING, DatastoreRule
from agentd.policy.programs import ProgramRule

_LIMITS = {
    "disk_free_min_bytes": "No step starts on a file system with less than {} bytes free.",
    "file_bytes_max": "No file that a step writes grows beyond {} bytes.",
    "written_bytes_max": "One attempt writes at most {} bytes to storage.",
    "rows_max": "One attempt handles at most {} rows.",
    "run_s_max": "One attempt runs at most {} seconds.",
    "cpu_s_max": "One attempt uses at most {} seconds of processor time.",
    "memory_bytes_max": "One attempt gets at most {} bytes of memory.",
    "processes_max": "One attempt has at most {} processes and threads.",
    "cores_max": "One attempt uses at most {} processor cores at once.",
    "io_bytes_per_s_max": "One attempt reads, and writes, at most {} bytes a second.",
}


def sentences(policy: Policy) -> Iterator[str]:
    """What the policy allows, one sentence at a time, the most important first."""
    yield _kinds(policy)
    yield f"Files: only in {_list(policy.roots)}." if policy.roots else "Files: none (roots is empty)."
    if policy.readable:
        yield f"Libraries may also read {_list(policy.readable)}."
    if not policy.datastores:
        yield "Datastores: none (datastores is empty)."
    for rule in policy.datastores:
        yield from _datastore(rule)
    if policy.secrets:
        yield f"Step kinds of your own may resolve the secrets {_list(policy.secrets)}."
    if policy.deletes == "refuse":
        yield "Nothing at a destination is replaced or removed, also not by an undo."
    for program in policy.programs:
        yield _program(program)
    for key, text in _LIMITS.items():
        if _set(policy, key):
            yield text.format(f"{getattr(policy.limits, key):,.12g}")
    unset = [key for key in Limits.__dataclass_fields__ if not _set(policy, key)]
    if unset:
        yield f"Not limited: {_list(unset)}."


def _set(policy: Policy, key: str) -> bool:
    return bool(getattr(policy.limits, key))


def _kinds(policy: Policy) -> str:
    if ANYTHING in policy.kinds:
        return "Step kinds: every installed one."
    return f"Step kinds: {_list(policy.kinds)}." if policy.kinds else "Step kinds: none, so nothing runs here."


def _datastore(rule: DatastoreRule) -> Iterator[str]:
    name = "Any other datastore" if rule.name == ANYTHING else f"Datastore {rule.name}"
    verb = "may only be read" if rule.access == "read" else "may be read and written"
    engine = f" as {rule.engine}" if rule.engine else ""
    if not rule.is_bound:
        yield f"{name} may be read and written where its files are in the roots; no database on the network."
        return
    where = f", with files in {_list(rule.paths)}" if rule.paths else ""
    yield f"{name} {verb}{engine}{where}."
    if rule.hosts:
        ports = _ports(rule)
        yield (
            f"  It is at {_list(rule.hosts)}, {ports}, database {_list(rule.databases)}, "
            f"role {_list(rule.users)}, with sslmode {rule.sslmode} or stronger."
        )
    if rule.secrets:
        yield f"  It, and nothing else, is given {_list(rule.secrets)} as its password."
    if rule.certificates:
        yield f"  It, and nothing else, may use the certificates and keys {_list(rule.certificates)}."
    if rule.deletes:
        yield "  What is there may be replaced and removed." if rule.deletes == "allow" else "  What is there stays."


def _ports(rule: DatastoreRule) -> str:
    if rule.ports is None:
        usual = {engine.name: engine.port for engine in ENGINES.values() if engine.is_server}
        found = [usual[rule.engine]] if rule.engine in usual else sorted(set(usual.values()))
        return f"port {_list([str(port) for port in found])}"
    return f"port {_list([str(port) for port in rule.ports])}" if rule.ports else "any port"


def _program(rule: ProgramRule) -> str:
    values = f" with {_list(sorted(rule.values))}" if rule.values else ""
    undo = f"undone by {rule.undo}" if rule.undo else "with nothing to undo"
    return f"Program {rule.name} runs {rule.path} (sha256 {rule.sha256[:12]}…){values}, {undo}."


def _list(words: Sequence[str]) -> str:
    return "any" if ANYTHING in words else ", ".join(words)
