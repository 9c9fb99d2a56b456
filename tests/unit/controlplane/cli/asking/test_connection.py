"""The way to a control plane and back, over real TLS: what goes wrong is told apart, and said once."""

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from haulier.v1 import operator_pb2 as op

from controlplane.cli.asking import connection, profile
from controlplane.cli.main import main
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from tests.kit.web_proxy import web_proxy
from tests.unit.controlplane.cli.conftest import Haulier
from tests.unit.controlplane.cli.far_side import SERVICE, TOKEN, FarSide, Refusal, serving

STATUS = op.GetStatusResponse(version="1.2.3")


def operator_of(far: FarSide, tmp_path: Path, **changed: str) -> connection.Operator:
    return connection.Operator(profile.load(far.write_profile(tmp_path / "other.json", **changed)), timeout_s=10)


def problem_of(operator: connection.Operator) -> Problem:
    with operator, pytest.raises(Problem) as caught:
        operator.call(op.GetStatusRequest(), op.GetStatusResponse)
    assert TOKEN not in caught.value.what + caught.value.where + caught.value.hint
    return caught.value


def test_the_token_and_a_deadline_travel_with_every_unary_call(far: FarSide, tmp_path: Path) -> None:
    far.says("GetStatus", STATUS)
    with operator_of(far, tmp_path) as operator:
        assert operator.call(op.GetStatusRequest(), op.GetStatusResponse).version == "1.2.3"
    assert far.deadlines == {"GetStatus": True}


def test_every_method_of_the_contract_is_reached_by_the_name_of_its_request() -> None:
    for method in SERVICE.methods:
        assert method.input_type.name == f"{method.name}Request"
        assert method.output_type.name == f"{method.name}Response"


def test_nobody_there(far: FarSide, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        operator = operator_of(far, tmp_path, address=f"127.0.0.1:{unused.getsockname()[1]}")
        problem = problem_of(operator)
    assert problem.code is Exit.UNREACHABLE
    assert problem.what == "the control plane cannot be reached"
    assert "haulier-controlplane serve" in problem.hint


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing of proxies."""
    for name in ("grpc", "https", "http", "all", "no", "no_grpc"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


@pytest.mark.usefixtures("no_proxies")
def test_a_proxy_is_used_where_a_setting_names_it_and_nowhere_else(
    far: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far.says("GetStatus", STATUS)
    with web_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with operator_of(far, tmp_path) as operator:
            operator.call(op.GetStatusRequest(), op.GetStatusResponse)
        assert proxy.asked == []
        with connection.Operator(profile.load(far.write_profile(tmp_path / "p"), proxy.url), timeout_s=10) as operator:
            operator.call(op.GetStatusRequest(), op.GetStatusResponse)
        assert len(proxy.asked) == 1
    with web_proxy("403 Forbidden") as proxy:
        refused = connection.Operator(profile.load(far.write_profile(tmp_path / "q"), proxy.url), timeout_s=10)
        assert f"through the proxy {proxy.url}" in problem_of(refused).where


@pytest.mark.usefixtures("no_proxies")
def test_a_proxy_that_is_not_used_is_named_when_nobody_is_there(
    far: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        problem = problem_of(operator_of(far, tmp_path, address=f"127.0.0.1:{unused.getsockname()[1]}"))
    assert "HTTPS_PROXY is set and not used" in problem.where
    assert "HAULIER_PROXY" in problem.where


def test_another_authority(far: FarSide, tmp_path: Path) -> None:
    with serving() as other:
        problem = problem_of(operator_of(far, tmp_path, ca_pem=other.ca_pem))
    assert problem.code is Exit.UNREACHABLE
    assert "not signed by the authority in the profile" in problem.what


def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    with serving(host="127.0.0.2") as elsewhere:
        problem = problem_of(operator_of(elsewhere, tmp_path))
    assert problem.code is Exit.UNREACHABLE
    assert "does not name this address" in problem.what


@contextmanager
def plain_web_server() -> Iterator[str]:
    """Something that answers every connection, but not with TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                with link:
                    link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def test_a_server_without_tls(far: FarSide, tmp_path: Path) -> None:
    with plain_web_server() as address:
        problem = problem_of(operator_of(far, tmp_path, address=address))
    assert problem.code is Exit.UNREACHABLE
    assert "no TLS connection" in problem.what


def test_a_certificate_in_the_profile_that_is_none(far: FarSide, tmp_path: Path) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert problem_of(operator_of(far, tmp_path, ca_pem=broken)).code is Exit.UNREACHABLE


def test_a_refused_token(far: FarSide, tmp_path: Path) -> None:
    problem = problem_of(operator_of(far, tmp_path, token="stolen"))
    assert problem.code is Exit.FORBIDDEN
    assert problem.what == "the token is not known"


def test_no_answer_in_time(far: FarSide, tmp_path: Path) -> None:
    may_answer = threading.Event()

    def slowly(_request: object) -> op.GetStatusResponse:
        may_answer.wait(20)
        return STATUS

    far.says("GetStatus", slowly)
    with (
        operator_of(far, tmp_path) as operator,
        pytest.raises(Problem, match=r"no answer within 0\.2 seconds") as caught,
    ):
        operator.call(op.GetStatusRequest(), op.GetStatusResponse, timeout_s=0.2)
    may_answer.set()
    assert caught.value.code is Exit.UNREACHABLE


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, Exit.USAGE),
        (grpc.StatusCode.OUT_OF_RANGE, Exit.USAGE),
        (grpc.StatusCode.PERMISSION_DENIED, Exit.FORBIDDEN),
        (grpc.StatusCode.NOT_FOUND, Exit.NOT_FOUND),
        (grpc.StatusCode.ALREADY_EXISTS, Exit.CONFLICT),
        (grpc.StatusCode.FAILED_PRECONDITION, Exit.CONFLICT),
        (grpc.StatusCode.ABORTED, Exit.CONFLICT),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Exit.INTERNAL),
        (grpc.StatusCode.UNIMPLEMENTED, Exit.INTERNAL),
        (grpc.StatusCode.INTERNAL, Exit.INTERNAL),
        (grpc.StatusCode.UNKNOWN, Exit.INTERNAL),
        (grpc.StatusCode.DATA_LOSS, Exit.INTERNAL),
    ],
)
def test_every_status_has_an_exit_code(far: FarSide, tmp_path: Path, status: grpc.StatusCode, code: Exit) -> None:
    far.says("GetStatus", Refusal(status, "what happened\nhint: what to do"))
    problem = problem_of(operator_of(far, tmp_path))
    assert problem.code is code
    if status is not grpc.StatusCode.UNIMPLEMENTED:
        assert (problem.what, problem.hint) == ("what happened", "what to do")
    assert far.address in problem.where


def test_a_hint_of_the_control_plane_is_passed_on(far: FarSide, tmp_path: Path) -> None:
    far.says("GetStatus", Refusal(grpc.StatusCode.FAILED_PRECONDITION, "it has ended\nhint: roll it back"))
    problem = problem_of(operator_of(far, tmp_path))
    assert (problem.what, problem.hint) == ("it has ended", "roll it back")


def test_a_status_without_words_still_says_something(far: FarSide, tmp_path: Path) -> None:
    far.says("GetStatus", Refusal(grpc.StatusCode.FAILED_PRECONDITION, ""))
    assert problem_of(operator_of(far, tmp_path)).what == "failed precondition"


def test_a_control_plane_that_says_itself_that_it_cannot_serve_is_quoted(far: FarSide, tmp_path: Path) -> None:
    far.says("GetStatus", Refusal(grpc.StatusCode.UNAVAILABLE, "the store failed: disk is full"))
    problem = problem_of(operator_of(far, tmp_path))
    assert (problem.code, problem.what) == (Exit.UNREACHABLE, "the store failed: disk is full")


def test_a_call_that_may_be_repeated_outlives_a_moment_of_absence(far: FarSide, tmp_path: Path) -> None:
    answers: list[object] = [Refusal(grpc.StatusCode.UNAVAILABLE, "starting up"), STATUS]
    far.says("GetStatus", lambda _request: answers.pop(0))
    with operator_of(far, tmp_path) as operator:
        assert operator.call(op.GetStatusRequest(), op.GetStatusResponse) == STATUS


def test_a_call_without_a_request_id_is_made_once(far: FarSide, tmp_path: Path) -> None:
    far.says("CreateJoinToken", Refusal(grpc.StatusCode.UNAVAILABLE, "starting up"))
    with operator_of(far, tmp_path) as operator, pytest.raises(Problem):
        operator.call(op.CreateJoinTokenRequest(), op.CreateJoinTokenResponse, repeatable=False)
    assert len(far.heard) == 1


def test_pages_are_joined(far: FarSide, tmp_path: Path) -> None:
    names = ["a", "b", "c"]

    def page(request: op.ListMigrationsRequest) -> op.ListMigrationsResponse:
        number = int(request.page_token or 0)
        following = str(number + 1) if number + 1 < len(names) else ""
        return op.ListMigrationsResponse(
            migrations=[op.MigrationSummary(name=names[number])], next_page_token=following
        )

    far.says("ListMigrations", page)
    with operator_of(far, tmp_path) as operator:
        whole = operator.listing(op.ListMigrationsRequest(states=["running"]), op.ListMigrationsResponse)
    assert [migration.name for migration in whole.migrations] == names
    assert whole.next_page_token == ""
    assert all(request.states == ["running"] for request in far.heard if isinstance(request, op.ListMigrationsRequest))


def test_an_answer_larger_than_the_library_allows_by_default_arrives(far: FarSide, tmp_path: Path) -> None:
    far.says("GetManifest", op.GetManifestResponse(metadata_json="x" * (20 << 20)))
    with operator_of(far, tmp_path) as operator:
        answer = operator.call(op.GetManifestRequest(kind="Dataset", name="a"), op.GetManifestResponse)
    assert len(answer.metadata_json) == 20 << 20


def test_a_defect_is_a_sentence(
    haulier: Haulier, far: FarSide, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise ZeroDivisionError("by hand")

    far.says("GetStatus", STATUS)
    monkeypatch.setattr("sys.stdout", Broken())
    assert main(["status"]) == Exit.INTERNAL
    error = capsys.readouterr().err
    assert error.startswith("error: this program met a defect: ZeroDivisionError: by hand")
    assert "Traceback" not in error
