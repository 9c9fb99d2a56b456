"""Builds the packages out of two trees: three debs, three rpms, and three tarballs for hosts that take neither.

    python packaging/packages.py --output dist [--version 0.1.1] [--trust root.json] [--only deb]

`haulier-agentd` holds the agent's tree. `haulier` holds the other one: the command `haulier` and the control plane's
program, which share nearly all their libraries, so that a host with both has them once and a laptop needs nothing else.
`haulier-controlplane` is what makes a service of it: unit, user, configuration; it needs `haulier` of its own version.
"""

import argparse
import gzip
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
# The folder is not a package, on purpose: its name is that of a library.
sys.path[:0] = [str(HERE), str(ROOT), str(ROOT / "proto")]

import manual  # noqa: E402
import tree  # noqa: E402
import zstandard  # noqa: E402

from controlplane.releases import building  # noqa: E402

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MAINTAINER = "The Haulier authors <authors@haulier.invalid>"
_CONFIG = "config|noreplace"
_SCRIPTS = {"postinstall": "postinst", "preremove": "prerm", "postremove": "postrm"}
_SHELLS = {
    "bash": "/usr/share/bash-completion/completions/haulier",
    "zsh": "/usr/share/zsh/vendor-completions/_haulier",
    "fish": "/usr/share/fish/vendor_completions.d/haulier.fish",
}


@dataclass(frozen=True, slots=True)
class Built:
    """The trees that go into packages, and where pieces of them are put together."""

    version: str
    agentd: Path
    controlplane: Path
    scratch: Path
    digest: str


def build_trees(scratch: Path, version: str | None) -> Built:
    """Make both trees below `scratch`. Raises TreeFailed."""
    trees = {side: scratch / "tree" / side for side in tree.SIDES}
    told = {side: tree.build(side, place, version) for side, place in trees.items()}
    digest = _release(trees["agentd"], told["agentd"], scratch)
    return Built(told["agentd"], trees["agentd"], trees["controlplane"], scratch, digest)


def _release(place: Path, version: str, scratch: Path) -> str:
    """Make a release of a tree, as it would be published; its list of files stays in the tree. Returns its digest."""
    released = building.build(place, version, platform.machine(), "", scratch / "artefact")
    with (
        released.path.open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed) as reader,
        tarfile.open(fileobj=reader, mode="r|") as archive,
    ):
        first = archive.next()
        listed = archive.extractfile(first) if first is not None and first.name == building.RELEASE else None
        if listed is None:
            raise tree.TreeFailed("an artefact begins with its list of files, and this one does not")
        (place / building.RELEASE).write_bytes(listed.read())
    return released.digest


def packages(built: Built, trust: Path | None) -> list[dict[str, Any]]:
    """Every package as nfpm wants to be told of it."""
    return [_agentd(built, trust), _client(built), _controlplane(built)]


def _agentd(built: Built, trust: Path | None) -> dict[str, Any]:
    name = "haulier-agentd"
    library = "/usr/lib/haulier-agentd"
    (built.scratch / "digest").write_text(built.digest + "\n", encoding="ascii")
    units = ["haulier-agentd.service", "haulier-agentd-joined.path", "haulier-agentd-policy.path"]
    units += ["haulier-agentd-policy.service", "haulier-agentd-rescue.service", "haulier-agentd-program@.service"]
    units += ["haulier-updater.path", "haulier-updater.timer", "haulier-updater.service"]
    commands = [name, "haulier-updater"]
    contents = [
        _tree(built.agentd, "/opt/haulier/package"),
        _file(HERE / "scripts" / "agentd-take-release", f"{library}/take-release", mode=0o755),
        _file(built.scratch / "digest", f"{library}/digest"),
        _file(HERE / "config" / "agent.toml", "/etc/haulier/agent.toml", _CONFIG),
        _file(HERE / "config" / "policy.toml", "/etc/haulier/policy.toml", _CONFIG),
        *([_file(trust, f"{library}/root.json")] if trust else []),
        *(_unit(unit) for unit in units),
        *_users(name),
        *(_link(f"/opt/haulier/current/bin/{command}", f"/usr/bin/{command}") for command in commands),
        *(_page(built, command) for command in commands),
    ]
    text = "Haulier agent: runs migration steps on a data host\nJoins a control plane, leases steps from it and proves "
    text += "what they did. Steps survive restarts and upgrades of the daemon."
    needs = ["python3.11", "systemd"]
    return _package(built, name, text, needs, contents, _scripts("agentd"))


def _client(built: Built) -> dict[str, Any]:
    contents = [_tree(built.controlplane, "/usr/lib/haulier")]
    for command in ("haulier", "haulier-controlplane"):
        contents += [_link(f"/usr/lib/haulier/bin/{command}", f"/usr/bin/{command}"), _page(built, command)]
    for shell, place in _SHELLS.items():
        contents.append(_file(_completion(built, shell), place))
    text = "Haulier: moves datasets, with proof\nThe command haulier, which speaks to a control plane, and the control "
    text += "plane's own program."
    return _package(built, "haulier", text, ["python3.11"], contents, {})


def _controlplane(built: Built) -> dict[str, Any]:
    name = "haulier-controlplane"
    contents = [
        _file(HERE / "config" / "controlplane.toml", "/etc/haulier/controlplane.toml", _CONFIG),
        _unit("haulier-controlplane.service"),
        _unit("haulier-controlplane-ready.path"),
        *_users(name),
    ]
    text = "Haulier control plane, as a service\nKnows every dataset, where it should go and which hosts can reach it, "
    text += "and leases steps to agents."
    needs = [f"haulier (= {_debian(built.version)})", "systemd"]
    told = _package(built, name, text, needs, contents, _scripts("controlplane"))
    told["overrides"]["rpm"]["depends"] = [f"haulier = {_debian(built.version)}", "systemd"]
    return told


def _package(
    built: Built, name: str, text: str, needs: list[str], contents: list[dict[str, Any]], scripts: dict[str, str]
) -> dict[str, Any]:
    summary, _, more = text.partition("\n")
    doc = f"/usr/share/doc/{name}"
    notice = built.scratch / "copyright"
    notice.write_text(_COPYRIGHT, encoding="utf-8")
    log = _packed(built.scratch / f"{name}-changelog", _changelog(name, built.version))
    # What lintian says of every package that brings its own libraries along.
    overrides = built.scratch / f"{name}-overrides"
    overrides.write_text("".join(f"{name}: {tag}\n" for tag in _OVERRIDDEN), encoding="utf-8")
    extra = [_file(notice, f"{doc}/copyright"), _file(log, f"{doc}/changelog.gz")]
    for_lintian = _file(overrides, f"/usr/share/lintian/overrides/{name}") | {"packager": "deb"}
    return {
        "name": name,
        "arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "version": _debian(built.version),
        "version_schema": "none",
        "section": "admin",
        "priority": "optional",
        "maintainer": _MAINTAINER,
        "license": "Apache-2.0",
        "description": "\n".join([summary, *textwrap.wrap(more, 72)]),
        "mtime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_epoch())),
        "contents": [*contents, *extra, for_lintian],
        "scripts": scripts,
        "overrides": {"deb": {"depends": needs}, "rpm": {"depends": list(needs)}},
        "deb": {"compression": "zstd"},
        "rpm": {"compression": "zstd", "summary": summary, "buildhost": "localhost"},
    }


_COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Haulier

Files: *
Copyright: 2026 The Haulier authors
License: Apache-2.0
 On Debian systems the text of the licence is in /usr/share/common-licenses/Apache-2.0.
 The libraries that come along are under their own licences, which lie beside them.
"""
_OVERRIDDEN = (
    "dir-or-file-in-opt",
    "embedded-library",
    "unstripped-binary-or-object",
    "hardening-no-fortify-functions",
    "package-contains-documentation-outside-usr-share-doc",
    "python3-script-but-no-python3-dep",
    "shared-library-lacks-prerequisites",
    "library-not-linked-against-libc",
    "custom-library-search-path",
    "sharedobject-in-library-directory-missing-soname",
    "extra-license-file",
    "missing-dependency-on-libc",
    "package-installs-python-pycache-dir",
    "maintainer-script-calls-systemctl",
    "unusual-interpreter",
    "script-not-executable",
)


def _changelog(name: str, version: str) -> str:
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(_epoch()))
    return f"{name} ({_debian(version)}) stable; urgency=medium\n\n  * This release.\n\n -- {_MAINTAINER}  {stamp}\n"


def _debian(version: str) -> str:
    """A pre-release sorts before its release: 0.2.0rc1 is 0.2.0~rc1."""
    for mark in ("rc", "a", "b"):
        if mark in version:
            return version.replace(mark, f"~{mark}", 1)
    return version


def _epoch() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH", "0"))


def _tree(source: Path, place: str) -> dict[str, Any]:
    return {"src": f"{source}/", "dst": place, "type": "tree"}


def _file(source: Path, place: str, sort: str = "", mode: int = 0o644) -> dict[str, Any]:
    told: dict[str, Any] = {"src": str(source), "dst": place, "file_info": {"mode": mode}}
    return told | ({"type": sort} if sort else {})


def _link(target: str, place: str) -> dict[str, Any]:
    return {"src": target, "dst": place, "type": "symlink"}


def _unit(name: str) -> dict[str, Any]:
    return _file(HERE / "systemd" / name, f"/usr/lib/systemd/system/{name}")


def _users(name: str) -> list[dict[str, Any]]:
    return [
        _file(HERE / "systemd" / f"{name}.{sort}", f"/usr/lib/{sort}.d/{name}.conf")
        for sort in ("sysusers", "tmpfiles")
    ]


def _page(built: Built, command: str) -> dict[str, Any]:
    pages = built.scratch / "man"
    if not pages.exists():
        manual.write(pages, built.version)
    text = (pages / f"{command}.1").read_text(encoding="utf-8")
    return _file(_packed(pages / f"{command}.1.gz", text), f"/usr/share/man/man1/{command}.1.gz")


def _completion(built: Built, shell: str) -> Path:
    """What teaches a shell the command, as the command itself prints it."""
    environment = {**os.environ, "_HAULIER_COMPLETE": f"source_{shell}"}
    program = built.controlplane / "bin" / "haulier"
    printed = subprocess.run([program], env=environment, capture_output=True, text=True, check=True).stdout
    path = built.scratch / f"completion.{shell}"
    path.write_text(printed.lstrip(), encoding="utf-8")
    return path


def _scripts(side: str) -> dict[str, str]:
    return {told: str(HERE / "scripts" / f"{side}-{name}") for told, name in _SCRIPTS.items()}


def _packed(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode("utf-8"), 9, mtime=0))
    return path


def pack(told: dict[str, Any], sort: str, output: Path, scratch: Path) -> Path:
    """Run nfpm; return the package."""
    config = scratch / f"{told['name']}.json"
    config.write_text(json.dumps(told), encoding="utf-8")
    fresh = scratch / "fresh"
    fresh.mkdir(exist_ok=True)
    nfpm = shutil.which("nfpm") or str(Path(sys.executable).with_name("nfpm"))
    command = [nfpm, "package", "--config", str(config), "--packager", sort, "--target", f"{fresh}/"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(_epoch())}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if ran.returncode:
        raise tree.TreeFailed(f"nfpm could not build {told['name']}: {ran.stderr.strip()[-2000:]}")
    (made,) = fresh.iterdir()
    output.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(made, output / made.name))


def tarball(told: dict[str, Any], output: Path, scratch: Path) -> Path:
    """The same contents for hosts that take no packages: install.sh puts them into place."""
    place = scratch / "tarball" / told["name"]
    for each in told["contents"]:
        _lay(each, place / "root" / each["dst"].lstrip("/"))
    (place / "NAME").write_text(told["name"] + "\n", encoding="ascii")
    for sort, name in _SCRIPTS.items():
        if sort in told["scripts"]:
            shutil.copyfile(told["scripts"][sort], place / name)
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{told['name']}_{told['version']}_{platform.machine()}.tar.gz"
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for each in sorted(place.rglob("*")):
            archive.add(each, each.relative_to(place).as_posix(), recursive=False, filter=_nobodys)
    return path


def _lay(each: dict[str, Any], place: Path) -> None:
    """Put one thing of a package's contents where it belongs."""
    if each.get("type") == "tree":
        shutil.copytree(each["src"], place, symlinks=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if each.get("type") == "symlink":
        place.symlink_to(each["src"])
    elif each.get("packager") is None:
        shutil.copyfile(each["src"], place)
        place.chmod(each["file_info"]["mode"])


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = _epoch()
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def write_sums(output: Path) -> Path:
    """List the digest of everything in a directory, as sha256sum does."""
    lines = []
    for path in sorted(output.iterdir()):
        if path.is_file() and path.name != "SHA256SUMS":
            with path.open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    sums = output / "SHA256SUMS"
    sums.write_text("".join(lines), encoding="ascii")
    return sums


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="where packages go (%(default)s)")
    parser.add_argument("--version", help="another version than pyproject.toml says")
    parser.add_argument("--trust", type=Path, help="root.json: the root of trust that agents begin with")
    parser.add_argument("--only", choices=("deb", "rpm", "tar"), help="one sort of package")
    given = parser.parse_args()
    # Files are as old as the newest commit, so that whoever builds it again builds the same.
    newest = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    os.environ.setdefault("SOURCE_DATE_EPOCH", newest.stdout.strip() or "0")
    try:
        with tempfile.TemporaryDirectory(prefix="haulier-packages-") as scratch:
            built = build_trees(Path(scratch), given.version)
            for told in packages(built, given.trust and given.trust.absolute()):
                for sort in (given.only,) if given.only else ("deb", "rpm", "tar"):
                    packing = tarball if sort == "tar" else partial(pack, sort=sort)
                    made = packing(told, output=given.output, scratch=built.scratch)
                    print(f"{made}  {made.stat().st_size / 1e6:.1f} MB", flush=True)
            shutil.copyfile(HERE / "install.sh", given.output / "install.sh")
            write_sums(given.output)
    except tree.TreeFailed as error:
        print(f"packages: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
