"""What the policy decides: may this step kind run, this place be touched, this secret be given, this program be run."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentd.datastores.engines import ENGINES
from agentd.datastores.port.engine import PlaceAsked
from agentd.policy.beneath import is_beneath
from agentd.policy.kinds import KindRule
from agentd.policy.limits import Limits
from agentd.policy.places import ANYTHING, DatastoreRule, matches
from agentd.policy.programs import ProgramRule
from agentd.policy.refusals import PolicyRefused, refused

_NO_RULE = KindRule()


@dataclass(frozen=True, slots=True)
class Policy:
    """What this host allows. Unset lists allow nothing; unset limits (0) limit nothing."""

    path: Path
    kinds: tuple[str, ...] = ()
    datastores: tuple[DatastoreRule, ...] = ()
    roots: tuple[str, ...] = ()
    # For step kinds of somebody's own; a datastore is given only what its own table lists.
    secrets: tuple[str, ...] = ()
    # Files that libraries may read besides the roots, such as certificates.
    readable: tuple[str, ...] = ()
    # "allow" or "refuse": whether steps may replace or remove what is at a destination.
    deletes: str = "allow"
    # "when_available" or "required": whether steps run on a kernel that cannot hold them within the roots.
    sandbox: str = "when_available"
    limits: Limits = field(default_factory=Limits)
    programs: tuple[ProgramRule, ...] = ()
    # The host's own file, where that leaves the word to the release: `path` is the release's then.
    left_by: Path | None = None
    is_missing: bool = False  # it was left to a release that brings no policy

    @property
    def origin(self) -> str:
        """Which file this is from, and why from that one."""
        if self.left_by is None:
            return str(self.path)
        if self.is_missing:
            return f"{self.left_by}, which leaves it to the release, and the release brings none: nothing is allowed"
        return f"{self.path}, because {self.left_by} says from_release"

    @property
    def owner(self) -> str:
        """Who can change it."""
        return "the owner of this host" if self.left_by is None else "whoever signs this host's releases"

    @property
    def datastore_names(self) -> tuple[str, ...]:
        """Names of the datastores that steps may reach from here; "*" stands for every one."""
        return tuple(rule.name for rule in self.datastores)

    @property
    def secret_references(self) -> tuple[str, ...]:
        """Every reference, with `*`, whose value a step may be given."""
        of_datastores = [ref for rule in self.datastores for ref in rule.secrets]
        of_programs = [ref for rule in self.programs for ref in rule.secrets.values()]
        return (*self.secrets, *of_datastores, *of_programs)

    def allowed_kinds(self, installed: Mapping[str, KindRule]) -> tuple[str, ...]:
        """Those of the installed step kinds that may run here, sorted."""
        return tuple(sorted(kind for kind, rule in installed.items() if self._allows_kind(kind, rule)))

    def _allows_kind(self, kind: str, rule: KindRule) -> bool:
        if rule.needs_programs and not self.programs:
            return False
        listed = {ANYTHING, kind, *rule.allowed_with}
        return not listed.isdisjoint(self.kinds)

    def check_kind(self, kind: str, rule: KindRule = _NO_RULE) -> None:
        """Raise PolicyRefused unless this step kind may run here."""
        if not self._allows_kind(kind, rule):
            raise self._refused(f"step kind {kind!r} is not allowed on this host", "kinds")

    def rule_of(self, name: str) -> DatastoreRule:
        """What a datastore's name may mean here; raises PolicyRefused for a name that is not listed."""
        for wanted in (name, ANYTHING):
            for rule in self.datastores:
                if rule.name == wanted:
                    return rule
        raise self._refused(f"datastore {name!r} is not allowed on this host", "datastores")

    def check_place(self, asked: PlaceAsked, writes: bool = False, deletes: bool = False) -> Path | None:
        """Where a datastore's files really are, None for a database; raises PolicyRefused unless it may be used so."""
        rule = self.rule_of(asked.name)
        objection = rule.objection(asked)
        if objection is not None:
            what, key = objection
            raise self._refused(f"datastore {asked.name!r} {what}, which this host does not allow", _key(rule, key))
        if writes and rule.access == "read":
            raise self._refused(f"datastore {asked.name!r} may only be read on this host", _key(rule, "access"))
        if deletes and (rule.deletes or self.deletes) == "refuse":
            message = f"this host lets no step replace or remove what is at datastore {asked.name!r}"
            raise self._refused(message, _key(rule, "deletes") if rule.deletes else "deletes")
        return None if ENGINES[asked.engine].is_server else self.check_path(asked.path, rule)

    def check_path(self, path: str, rule: DatastoreRule | None = None) -> Path:
        """The path with every link resolved; raises PolicyRefused unless it is a root or below one.

        Only a first word: where it led is looked at again on the open descriptor (`beneath`).
        """
        if not path.startswith("/") or "\0" in path:
            raise self._refused(f"path {path!r} is not absolute", "roots")
        try:
            real = Path(os.path.realpath(path))
        except OSError as error:
            raise self._refused(f"path {path!r} cannot be followed: {error.strerror}", "roots") from error
        if not is_beneath(real, self.roots):
            raise self._refused(f"path {path!r} is outside the roots allowed on this host", "roots")
        if rule is not None and rule.paths and not is_beneath(real, rule.paths):
            message = f"path {path!r} is not where this host says that datastore {rule.name!r} is"
            raise self._refused(message, _key(rule, "paths"))
        return real

    def check_bare_path(self, path: str, deletes: bool) -> Path:
        """A path that is no datastore's, with every link resolved; raises PolicyRefused unless it may be used."""
        if deletes and self.deletes == "refuse":
            raise self._refused(f"this host lets no step replace or remove what is at {path!r}", "deletes")
        return self.check_path(path)

    def check_secret(self, ref: str) -> None:
        """Raise PolicyRefused unless step kinds of somebody's own may resolve this reference here."""
        if ref and not matches(ref, self.secrets):
            raise self._refused(f"secret reference {ref!r} is not allowed on this host", "secrets")

    def check_datastore_secret(self, asked: PlaceAsked) -> None:
        """Raise PolicyRefused unless this datastore, defined like this, may be given the secret that it asks for."""
        self.check_place(asked)
        self.check_certificates(asked)
        rule = self.rule_of(asked.name)
        if asked.secret and not rule.gives(asked.secret):
            message = f"datastore {asked.name!r} may not be given the secret {asked.secret!r} on this host"
            raise self._refused(message, _key(rule, "secrets"))

    def check_certificates(self, asked: PlaceAsked) -> None:
        """Raise PolicyRefused unless this datastore may use the certificates and the key that it names."""
        rule = self.rule_of(asked.name)
        for path in asked.certificates:
            if not rule.shows(path):
                message = f"datastore {asked.name!r} may not use the certificate or key {path!r} on this host"
                raise self._refused(message, _key(rule, "certificates"))

    def program(self, name: str) -> ProgramRule:
        """The program of this name; raises PolicyRefused where the host names none."""
        for rule in self.programs:
            if rule.name == name:
                return rule
        raise self._refused(f"program {name!r} is not named on this host", f"[programs.{name!r}]")

    def check_room(self, path: Path) -> None:
        """Raise PolicyRefused when the file system that holds `path` has too little free space."""
        free_bytes, wanted = shutil.disk_usage(_existing(path)).free, self.limits.disk_free_min_bytes
        if free_bytes < wanted:
            message = f"{path} has {free_bytes} bytes free, this host wants {wanted} to be left"
            raise PolicyRefused(message, "free some space, or lower disk_free_min_bytes in the host's policy")

    def _refused(self, message: str, key: str) -> PolicyRefused:
        return refused(message, key, self.owner, self.path)


def _key(rule: DatastoreRule, key: str) -> str:
    return f"{key} of {rule.table}"


def _existing(path: Path) -> Path:
    return path if path.exists() or path == path.parent else _existing(path.parent)
