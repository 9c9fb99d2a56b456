"""What a datastore's name may mean on a host: nobody can point it elsewhere, least of all with a password."""

from dataclasses import replace
from pathlib import Path

import pytest

from agentd.datastores.port.engine import PlaceAsked
from agentd.policy import reading
from agentd.policy.explaining import sentences
from agentd.policy.host_policy import Policy
from agentd.policy.refusals import PolicyBroken, PolicyRefused

TEXT = """
kinds = ["*"]
roots = ["{root}"]
secrets = ["env:OWN_*"]
[datastores.warehouse]
engine = "postgresql"
hosts = ["db.example.com"]
databases = ["warehouse"]
users = ["haulier"]
schemas = ["public", "sales"]
sslmode = "require"
secrets = ["file:/run/secrets/*"]
certificates = ["/etc/haulier/tls/*"]
[datastores.exports]
engine = "csv"
paths = ["{root}/exports"]
access = "read"
[datastores.lake]
deletes = "refuse"
[datastores.scratch]
"""
WAREHOUSE = PlaceAsked(
    "warehouse",
    "postgresql",
    host="db.example.com",
    port=5432,
    database="warehouse",
    user="haulier",
    schema="public",
    sslmode="verify-full",
    secret="file:/run/secrets/warehouse",
    certificates=("/etc/haulier/tls/ca.crt", "/etc/haulier/tls/haulier.crt", "/etc/haulier/tls/haulier.key"),
)


@pytest.fixture
def host_policy(tmp_path: Path) -> Policy:
    tmp_path.chmod(0o700)
    (tmp_path / "exports").mkdir()
    path = tmp_path / "policy.toml"
    path.write_text(TEXT.format(root=tmp_path))
    return reading.load(path, None)


def test_a_database_is_allowed_where_the_host_says_it_is(host_policy: Policy) -> None:
    assert host_policy.check_place(WAREHOUSE, writes=True, deletes=True) is None
    host_policy.check_datastore_secret(WAREHOUSE)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"host": "evil.example.com"}, "hosts"),
        ({"host": "db.example.com,evil.example.com"}, "hosts"),
        ({"host": "db.example.com "}, "hosts"),
        ({"port": 5433}, "ports"),
        ({"database": "host=evil.example.com"}, "databases"),
        ({"user": "postgres"}, "users"),
        ({"schema": "secret"}, "schemas"),
        ({"sslmode": "disable"}, "sslmode"),
        ({"sslmode": ""}, "sslmode"),
        ({"sslmode": "nonsense"}, "sslmode"),
        ({"engine": "sqlite", "path": "/etc/passwd"}, "engine"),
        ({"secret": "env:OWN_KEY"}, "secrets"),
        ({"secret": "file:/run/secrets/../../etc/shadow"}, "secrets"),
        ({"certificates": ("/etc/haulier/agent.key",)}, "certificates"),
        ({"certificates": ("/etc/haulier/tls/../agent.key",)}, "certificates"),
        ({"certificates": ("system",)}, "certificates"),
        ({"name": "unknown"}, "datastores"),
        ({"name": "scratch"}, "hosts"),
    ],
)
def test_its_name_cannot_be_given_another_meaning(host_policy: Policy, changed: dict[str, object], key: str) -> None:
    with pytest.raises(PolicyRefused) as caught:
        host_policy.check_datastore_secret(replace(WAREHOUSE, **changed))  # type: ignore[arg-type]
    assert f"under {key} " in caught.value.hint
    assert str(host_policy.path) in caught.value.hint


def test_what_the_host_trusts_may_be_trusted_where_it_names_no_certificates(
    host_policy: Policy, tmp_path: Path
) -> None:
    path = tmp_path / "plain.toml"
    path.write_text(TEXT.format(root=tmp_path).replace('certificates = ["/etc/haulier/tls/*"]', ""))
    plain = reading.load(path, None)
    plain.check_certificates(replace(WAREHOUSE, certificates=("system",)))
    with pytest.raises(PolicyRefused, match="may not use the certificate or key"):
        plain.check_certificates(replace(WAREHOUSE, certificates=("/etc/haulier/tls/ca.crt",)))


def test_files_are_where_the_host_says_and_only_read_where_it_says(host_policy: Policy, tmp_path: Path) -> None:
    inside = PlaceAsked("exports", "csv", path=str(tmp_path / "exports"))
    assert host_policy.check_place(inside) == tmp_path / "exports"
    with pytest.raises(PolicyRefused, match="only be read"):
        host_policy.check_place(inside, writes=True)
    with pytest.raises(PolicyRefused, match="not where this host says"):
        host_policy.check_place(replace(inside, path=str(tmp_path)))
    lake = PlaceAsked("lake", "parquet", path=str(tmp_path))
    host_policy.check_place(lake, writes=True)
    with pytest.raises(PolicyRefused, match="replace or remove"):
        host_policy.check_place(lake, writes=True, deletes=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[datastores.x]\nhosts = ["*"]\nsecrets = ["env:A"]\ndatabases = ["*"]\nusers = ["*"]', "go anywhere"),
        ('[datastores.x]\nengine = "postgresql"', "needs hosts, databases and users"),
        ('[datastores.x]\nsecrets = ["env:A"]', "needs hosts, databases and users"),
        ('[datastores.x]\nengine = "csv"\nhosts=["h"]\ndatabases=["d"]\nusers=["u"]\nsecrets=["env:A"]', "takes none"),
        (
            '[datastores.x]\nengine = "csv"\nhosts=["h"]\ndatabases=["d"]\nusers=["u"]\ncertificates=["/a"]',
            "takes none",
        ),
        ('[datastores.x]\ncertificates = ["/a"]', "needs hosts, databases and users"),
        ('[datastores.x]\nengine = "oracle"', "must be one of csv"),
        ('[datastores.x]\nhost = ["h"]', "did you mean 'hosts'"),
        ("[datastores.x]\nports = [0]", "1 to 65535"),
        ('[datastores.x]\npaths = ["data"]', "not an absolute path"),
        ("datastores = 1", "list of strings, or tables"),
        ("run_s_max = nan", "must be a number"),
        ('deletes = "maybe"', "must be one of allow, refuse"),
        ('sandbox = "paper"', "when_available, required"),
        ('[programs.p]\npath = "p"', "absolute path"),
        ('[programs.p]\npath = "/p"\nsha256 = "12"', "sha256sum /p"),
        (f'[programs.p]\npath = "/p"\nsha256 = "{"0" * 64}"', "needs safe_to_repeat"),
        (f'[programs.p]\npath = "/p"\nsha256 = "{"0" * 64}"\nsafe_to_repeat = "x"', "needs undo"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    tmp_path.chmod(0o700)
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(PolicyBroken, match=said) as caught:
        reading.load(path, None)
    assert str(path) in str(caught.value)


def test_the_policy_reads_as_sentences(host_policy: Policy) -> None:
    text = "\n".join(sentences(host_policy))
    assert "Datastore exports may only be read as csv" in text
    assert "at db.example.com, port 5432, database warehouse, role haulier, with sslmode require or stronger" in text
    assert "nothing else, is given file:/run/secrets/*" in text
    assert "nothing else, may use the certificates and keys /etc/haulier/tls/*" in text
    assert "Not limited: " in text and "memory_bytes_max" in text
