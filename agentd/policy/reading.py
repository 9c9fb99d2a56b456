"""Reads the policy file: every key known, every value of its type, every mistake named with how to mend it.

The host's own file may say `from_release = true`, and nothing else: then the policy counts that the release brings. No
other word anywhere makes a release's policy count.
"""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from agentd.datastores.engines import ENGINES
from agentd.installation.release_tree import POLICY
from agentd.policy import limits
from agentd.policy.host_policy import Policy
from agentd.policy.limits import Limits
from agentd.policy.places import ANYTHING, SSLMODES, DatastoreRule
from agentd.policy.programs import ProgramRule, ValueRule, placeholders
from agentd.policy.refusals import PolicyBroken

_LISTS = ("kinds", "roots", "secrets", "readable")
_KEYS = (*_LISTS, "datastores", "deletes", "sandbox", "programs", *limits.KEYS)
_DATASTORE_TEXTS = ("engine", "access", "deletes", "sslmode")
_DATASTORE_LISTS = ("paths", "hosts", "databases", "users", "schemas", "secrets", "certificates")
_PROGRAM_TEXTS = ("path", "sha256", "safe_to_repeat", "undo")
_PROGRAM_LISTS = ("arguments", "reads", "writes")
_PROGRAM_KEYS = (*_PROGRAM_TEXTS, *_PROGRAM_LISTS, "values", "environment", "secrets", "timeout_s", "output_bytes_max")
_VALUE_TYPES = ("text", "integer", "path", "dataset", "choice")
_YES_OR_NO = ("allow", "refuse")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_NUMBER_MAX = 2**62
_FROM_RELEASE = "from_release"


def load(path: Path, release: Path | None) -> Policy:
    """Read the host's policy at `path`, or what the release whose tree is `release` brings where `path` leaves it to
    that; raises PolicyBroken, also where others than root and we could change what counts."""
    told = _read(path, path.resolve().parent)
    if _FROM_RELEASE not in told:
        return _named(path, told)
    if told[_FROM_RELEASE] is not True or len(told) > 1:
        raise PolicyBroken(
            f"policy {path}: from_release must be true and stand alone: either the release's policy counts here or "
            "this one does; remove from_release, or everything else"
        )
    brought = path if release is None else release / POLICY
    if release is None or not os.path.lexists(brought):
        return Policy(brought, left_by=path, is_missing=True)
    return replace(_named(brought, _read(brought, brought.parent, release)), left_by=path)


def _read(path: Path, *directories: Path) -> dict[str, Any]:
    _check_owner(path, *directories)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PolicyBroken(f"policy {path} cannot be read: {error}") from error


def _named(path: Path, told: Mapping[str, Any]) -> Policy:
    try:
        return policy_of(told, path)
    except PolicyBroken as error:
        raise PolicyBroken(f"policy {path}: {error}") from error


def policy_of(told: Mapping[str, Any], path: Path) -> Policy:
    """What the file at `path` told, as a policy; raises PolicyBroken. Who could change the file is not looked at."""
    _known(told, _KEYS, "")
    programs = _programs(told)
    return Policy(
        path=path,
        kinds=_strings(told, "kinds"),
        datastores=_datastores(told),
        roots=_paths(told, "roots", "root"),
        secrets=_strings(told, "secrets"),
        readable=_paths(told, "readable", "path"),
        deletes=_choice(told, "deletes", _YES_OR_NO) or "allow",
        sandbox=_choice(told, "sandbox", ("when_available", "required")) or "when_available",
        limits=_limits(told),
        programs=programs,
    )


def _limits(told: Mapping[str, Any]) -> Limits:
    numbers: dict[str, Any] = {name: _number(told, name, whole=True) for name in limits.WHOLE}
    numbers |= {name: float(_number(told, name)) for name in limits.FRACTIONS}
    return Limits(**numbers)


def _datastores(told: Mapping[str, Any]) -> tuple[DatastoreRule, ...]:
    found = told.get("datastores", [])
    if isinstance(found, list):
        return tuple(DatastoreRule(name) for name in _strings(told, "datastores"))
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise PolicyBroken("datastores must be a list of strings, or tables such as [datastores.warehouse]")
    return tuple(_in_table(f"[datastores.{name}]", _datastore, name, table) for name, table in found.items())


def _in_table(where: str, read: Any, name: str, table: Mapping[str, Any]) -> Any:
    try:
        return read(name, table)
    except PolicyBroken as error:
        raise PolicyBroken(f"{where} {error}") from error


def _datastore(name: str, table: Mapping[str, Any]) -> DatastoreRule:
    _known(table, (*_DATASTORE_TEXTS, *_DATASTORE_LISTS, "ports"), "")
    ports = _ports(table)
    lists = {key: _strings(table, key) for key in _DATASTORE_LISTS}
    engine = _choice(table, "engine", tuple(ENGINES))
    is_local = bool(engine) and not ENGINES[engine].is_server
    # An IPv6 address may stand in brackets, as in a URL.
    lists["hosts"] = tuple(host.strip("[]") for host in lists["hosts"])
    if lists["secrets"] and ANYTHING in lists["hosts"]:
        raise PolicyBroken("allows any host and has secrets: a password would go anywhere; name the hosts")
    of_databases = ("hosts", "databases", "users", "secrets", "certificates")
    is_server = (bool(engine) and not is_local) or any(lists[key] for key in of_databases)
    if is_server and not all(lists[key] for key in ("hosts", "databases", "users")):
        raise PolicyBroken("needs hosts, databases and users: what is not listed is not allowed")
    for key in ("secrets", "certificates"):
        if is_local and lists[key]:
            raise PolicyBroken(f"has {key}, and {engine} takes none: remove them")
    lists["schemas"] = lists["schemas"] or (ANYTHING,)
    _paths(table, "paths", "path")
    return DatastoreRule(
        name,
        is_bound=True,
        engine=engine,
        access=_choice(table, "access", ("read", "write")) or "write",
        deletes=_choice(table, "deletes", _YES_OR_NO),
        sslmode=_choice(table, "sslmode", SSLMODES) or SSLMODES[0],
        ports=ports,
        **lists,
    )


def _ports(table: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Port numbers; () for any, None where the engine says it."""
    if "ports" not in table:
        return None
    found = table["ports"]
    numbers = found if isinstance(found, list) else [None]
    if found != [ANYTHING] and not all(type(each) is int and 0 < each < 65536 for each in numbers):
        raise PolicyBroken('ports must be a list of numbers from 1 to 65535, or ["*"]')
    return () if found == [ANYTHING] else tuple(found)


def _programs(told: Mapping[str, Any]) -> tuple[ProgramRule, ...]:
    found = told.get("programs", {})
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise PolicyBroken("programs must be tables such as [programs.reindex]")
    rules = tuple(_in_table(f"[programs.{name}]", _program, name, table) for name, table in found.items())
    by_name = {rule.name: rule for rule in rules}
    for rule in rules:
        undo = by_name.get(rule.undo)
        if rule.undo and undo is None:
            raise PolicyBroken(
                f"[programs.{rule.name}] undo names {rule.undo!r}, which is not a program of this policy"
            )
        if undo is not None and undo.values.keys() != rule.values.keys():
            raise PolicyBroken(f"[programs.{rule.name}] and its undo {rule.undo!r} must take the same values")
    return rules


def _program(name: str, table: Mapping[str, Any]) -> ProgramRule:
    if not _NAME.fullmatch(name):
        raise PolicyBroken("has a name with other characters than letters, digits, '_', '-' and '.'")
    _known(table, _PROGRAM_KEYS, "")
    path, sha256 = _text(table, "path"), _text(table, "sha256").lower()
    if not path.startswith("/"):
        raise PolicyBroken("needs path: the program's absolute path")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise PolicyBroken(f"needs sha256, 64 hexadecimal digits: take them from `sha256sum {path}`")
    if not _text(table, "safe_to_repeat").strip():
        raise PolicyBroken("needs safe_to_repeat: say why running it twice is harmless, because that may happen")
    if "undo" not in table:
        raise PolicyBroken('needs undo: the program that undoes it, or "" where there is nothing to undo')
    arguments = _strings(table, "arguments")
    values = {
        each: _in_table(f"values.{each}", _value, each, rule) for each, rule in _table(table, "values", dict).items()
    }
    if unknown := placeholders(arguments) - values.keys():
        raise PolicyBroken(f"arguments hold {{{min(unknown)}}}, and values say nothing of it")
    environment, secrets = _table(table, "environment", str), _table(table, "secrets", str)
    if both := environment.keys() & secrets.keys():
        raise PolicyBroken(f"environment and secrets both set {min(both)}")
    return ProgramRule(
        name=name,
        path=path,
        sha256=sha256,
        safe_to_repeat=_text(table, "safe_to_repeat"),
        arguments=arguments,
        values=values,
        environment=environment,
        secrets=secrets,
        timeout_s=float(_number(table, "timeout_s")) or 3600.0,
        undo=_text(table, "undo"),
        reads=_paths(table, "reads", "path"),
        writes=_paths(table, "writes", "path"),
        output_bytes_max=int(_number(table, "output_bytes_max", whole=True)) or 16384,
    )


def _value(name: str, table: Mapping[str, Any]) -> ValueRule:
    _known(table, ("type", "pattern", "choices", "least", "most"), "")
    kind = _choice(table, "type", _VALUE_TYPES)
    pattern, choices = _text(table, "pattern"), _strings(table, "choices")
    if not kind:
        raise PolicyBroken(f"needs type: {', '.join(_VALUE_TYPES)}")
    if kind == "text" and not pattern:
        raise PolicyBroken("is text and needs pattern, a regular expression for all of it")
    if kind == "choice" and not choices:
        raise PolicyBroken("is a choice and needs choices")
    try:
        re.compile(pattern)
    except re.error as error:
        raise PolicyBroken(f"pattern is not a regular expression: {error}") from error
    bounds = {key: table[key] for key in ("least", "most") if key in table}
    if not all(type(bound) is int for bound in bounds.values()):
        raise PolicyBroken("least and most must be whole numbers")
    if kind == "dataset":
        kind, pattern = "text", r"[a-z0-9][a-z0-9_.-]{0,99}"
    del name
    return ValueRule(kind, pattern, choices, **bounds)


def _check_owner(path: Path, *directories: Path) -> None:
    for each in (path, *directories):
        try:
            found = each.stat()
        except OSError as error:
            raise PolicyBroken(f"policy {path} cannot be read: {error.strerror}") from error
        if found.st_uid not in (0, os.geteuid()):
            raise PolicyBroken(f"{each} belongs to another user: chown it to root")
        # In a sticky directory nobody can replace somebody else's file.
        sticky_directory = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky_directory:
            raise PolicyBroken(f"{each} can be changed by others: chmod go-w it")


_RENAMED = {"wall": "sandbox", "wall_s_max": "run_s_max"}


def _known(told: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> None:
    for name in told:
        if new := _RENAMED.get(name):
            raise PolicyBroken(f"unknown key {prefix}{name!r}; it is called {new!r} now")
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise PolicyBroken(f"unknown key {prefix}{name!r}{hint}")


def _strings(told: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = told.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise PolicyBroken(f"{name} must be a list of strings")
    return tuple(found)


def _paths(told: Mapping[str, Any], name: str, noun: str) -> tuple[str, ...]:
    found = _strings(told, name)
    for path in found:
        if not path.startswith("/"):
            raise PolicyBroken(f"{noun} {path!r} is not an absolute path")
    return found


def _table(told: Mapping[str, Any], name: str, of: type) -> dict[str, Any]:
    found = told.get(name, {})
    if not isinstance(found, dict) or not all(isinstance(each, of) for each in found.values()):
        raise PolicyBroken(f"{name} must be a table of {'tables' if of is dict else 'strings'}")
    return found


def _text(told: Mapping[str, Any], name: str) -> str:
    found = told.get(name, "")
    if not isinstance(found, str):
        raise PolicyBroken(f"{name} must be a string")
    return found


def _choice(told: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    found = _text(told, name)
    if name in told and found not in choices:
        raise PolicyBroken(f"{name} must be one of {', '.join(choices)}, not {found!r}")
    return found


def _number(told: Mapping[str, Any], name: str, whole: bool = False) -> Any:
    found = told.get(name, 0)
    kinds = (int,) if whole else (int, float)
    if not isinstance(found, kinds) or isinstance(found, bool) or not 0 <= found <= _NUMBER_MAX:
        sort = "number of bytes" if "bytes" in name else "whole number" if whole else "number"
        raise PolicyBroken(f"{name} must be a {sort}, 0 or more")
    return found
