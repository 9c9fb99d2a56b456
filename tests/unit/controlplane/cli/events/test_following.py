"""Streams that outlive a restart of the control plane."""

import itertools
from pathlib import Path

import grpc
import pytest
from haulier.v1 import operator_pb2 as op
from hypothesis import given
from hypothesis import strategies as st

from controlplane.cli.asking import connection, profile
from controlplane.cli.events.following import LogText, events_from, log_pieces
from controlplane.cli.screen.problems import Problem
from tests.unit.controlplane.cli.far_side import FarSide, Refusal

AWAY = Refusal(grpc.StatusCode.UNAVAILABLE, "shutting down")


def operator_of(far: FarSide, tmp_path: Path) -> connection.Operator:
    return connection.Operator(profile.load(far.write_profile(tmp_path / "other.json")), timeout_s=10)


def events(after: int, until: int) -> list[op.WatchEventsResponse]:
    return [op.WatchEventsResponse(position=position, type="StepReadied") for position in range(after + 1, until + 1)]


def test_events_go_on_behind_the_last_one_after_a_restart(far: FarSide, tmp_path: Path) -> None:
    lives: list[list[object]] = [[*events(1, 3), AWAY], list(events(3, 5))]
    far.says("WatchEvents", lambda _request: lives.pop(0))
    with operator_of(far, tmp_path) as operator:
        seen = list(events_from(operator, op.WatchEventsRequest(after=1, subject="mig_a", follow=True)))
    assert [event.position for event in seen] == [2, 3, 4, 5]
    asked = [request for request in far.heard if isinstance(request, op.WatchEventsRequest)]
    assert [(request.after, request.subject, request.follow) for request in asked] == [
        (1, "mig_a", True),
        (3, "mig_a", True),
    ]


def test_without_follow_a_cut_stream_is_an_error(far: FarSide, tmp_path: Path) -> None:
    far.says("WatchEvents", [*events(0, 2), AWAY])
    with operator_of(far, tmp_path) as operator, pytest.raises(Problem):
        list(events_from(operator, op.WatchEventsRequest(after=0, subject="", follow=False)))


def test_a_first_call_that_fails_is_told_at_once(far: FarSide, tmp_path: Path) -> None:
    far.says("WatchEvents", AWAY)
    with operator_of(far, tmp_path) as operator, pytest.raises(Problem):
        list(events_from(operator, op.WatchEventsRequest(after=0, subject="", follow=True)))
    assert len(far.heard) == 1


def test_patience_ends(far: FarSide, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lives = [[*events(0, 2), AWAY]]
    far.says("WatchEvents", lambda _request: lives.pop(0) if lives else AWAY)
    with operator_of(far, tmp_path) as operator, pytest.raises(Problem):
        list(events_from(operator, op.WatchEventsRequest(after=0, subject="", follow=True), patience_s=0.6))
    assert capsys.readouterr().err.count("waiting for it") == 1


def test_an_error_of_another_sort_ends_the_stream_at_once(far: FarSide, tmp_path: Path) -> None:
    lives: list[list[object]] = [[*events(0, 2), Refusal(grpc.StatusCode.NOT_FOUND, "no such subject")]]
    far.says("WatchEvents", lambda _request: lives.pop(0))
    with operator_of(far, tmp_path) as operator, pytest.raises(Problem, match="no such subject"):
        list(events_from(operator, op.WatchEventsRequest(after=0, subject="mig_a", follow=True)))


OUTPUT = bytes(range(65, 91)) * 2
DROPPED = (10, 20)


@given(
    first=st.lists(st.integers(0, len(OUTPUT)), max_size=4),
    second=st.lists(st.integers(0, len(OUTPUT)), max_size=4),
    lost_after=st.integers(0, 5),
    dropped=st.sampled_from([None, DROPPED, (0, 5), (40, len(OUTPUT))]),
)
def test_each_byte_of_output_comes_once_however_it_is_cut(
    first: list[int], second: list[int], lost_after: int, dropped: tuple[int, int] | None
) -> None:
    """The output is sent twice, cut differently each time; the first stream breaks off somewhere."""
    from controlplane.cli.events.following import _unprinted

    printed, text = 0, []
    for pieces in (cut(first, dropped)[:lost_after], cut(second, dropped)):
        offset = 0
        for piece in pieces:
            fresh = _unprinted(piece, offset, printed)
            offset += piece.dropped_bytes + len(piece.data)
            if fresh is not None:
                printed = offset
                text.append(b"." * fresh.dropped_bytes + fresh.data)
    whole = bytearray(OUTPUT)
    if dropped:
        whole[slice(*dropped)] = b"." * (dropped[1] - dropped[0])
    assert b"".join(text) == bytes(whole)


def cut(places: list[int], dropped: tuple[int, int] | None) -> list[op.TailLogsResponse]:
    """OUTPUT in pieces, with one stretch left out."""
    start, end = dropped or (0, 0)
    pieces: list[op.TailLogsResponse] = []
    missing = 0
    borders = sorted({0, len(OUTPUT), start, end, *places})
    for low, high in itertools.pairwise(borders):
        if start <= low < end:
            missing += high - low
            continue
        pieces.append(op.TailLogsResponse(data=OUTPUT[low:high], dropped_bytes=missing))
        missing = 0
    if missing:
        pieces.append(op.TailLogsResponse(dropped_bytes=missing))
    return pieces


def test_output_goes_on_after_a_restart(far: FarSide, tmp_path: Path) -> None:
    lives: list[list[object]] = [
        [op.TailLogsResponse(data=b"one\ntw"), AWAY],
        [op.TailLogsResponse(data=b"one\n"), op.TailLogsResponse(data=b"two\nthree\n")],
    ]
    far.says("TailLogs", lambda _request: lives.pop(0))
    with operator_of(far, tmp_path) as operator:
        pieces = list(log_pieces(operator, "att_a", follow=True))
    assert b"".join(piece.data for piece in pieces) == b"one\ntwo\nthree\n"


def shown(*pieces: op.TailLogsResponse) -> str:
    text = LogText()
    return "".join(text.take(piece) for piece in pieces) + text.rest()


def test_a_character_may_be_cut_between_pieces() -> None:
    whole = "Grüße\n".encode()
    assert shown(*(op.TailLogsResponse(data=bytes([byte])) for byte in whole)) == "Grüße\n"


def test_what_was_left_out_is_said_on_a_line_of_its_own() -> None:
    pieces = [op.TailLogsResponse(data=b"begin"), op.TailLogsResponse(dropped_bytes=4096, data=b"end\n")]
    assert shown(*pieces) == "begin\n[4.1 kB left out]\nend\n"
    assert shown(op.TailLogsResponse(dropped_bytes=1, data=b"x")) == "[1 B left out]\nx\n"


def test_output_cannot_act_on_the_terminal() -> None:
    assert shown(op.TailLogsResponse(data=b"50%\r100%\x1b[2J\r\n\xff")) == "50%\\x0d100%\\x1b[2J\n\ufffd\n"
