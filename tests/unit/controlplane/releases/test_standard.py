"""What the desk writes is a repository of The Update Framework as anybody's client reads it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlparse

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from controlplane.releases.building import target_path
from tests.kit.releases import ARCHITECTURE, Forge


class Files(FetcherInterface):
    """Reads files where a client would ask a web server."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(urlparse(url).path)
        if not path.exists():
            raise DownloadHTTPError(f"{path} is not there", 404)
        return iter([path.read_bytes()])


def test_another_client_finds_and_verifies_a_release(tmp_path: Path) -> None:
    forge = Forge(tmp_path / "forge", now=datetime.now(UTC))
    built = forge.release("0.2.0")
    desk = forge.desk()
    desk.renew_root(forge.offline, new_keys=True)
    desk.revoke(desk.root().signed.roles["targets"].keyids[0], forge.offline, forge.online)
    (tmp_path / "metadata").mkdir()
    (tmp_path / "targets").mkdir()
    client = Updater(
        str(tmp_path / "metadata"),
        f"file://{forge.repository}/metadata/",
        str(tmp_path / "targets"),
        f"file://{forge.repository}/targets/",
        fetcher=Files(),
        config=UpdaterConfig(prefix_targets_with_hash=False),
        bootstrap=forge.first_root,
    )
    target = client.get_targetinfo(target_path("0.2.0", ARCHITECTURE))
    assert target is not None and target.custom["version"] == "0.2.0"
    assert Path(client.download_target(target)).read_bytes() == built.path.read_bytes()
