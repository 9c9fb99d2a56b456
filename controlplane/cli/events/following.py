"""Streams that outlive a restart of the control plane: they take up where they were cut."""

from __future__ import annotations

import codecs
import threading
import time
from collections.abc import Iterator

from haulier.v1 import operator_pb2 as op

from controlplane.cli.asking.connection import Operator
from controlplane.cli.screen import wording
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import note

PATIENCE_S = 120.0
_RECONNECT_S = 0.5


class _Patience:
    """Bounds how long a stream may stay away. News resets it."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._away_since: float | None = None

    def news(self) -> None:
        self._away_since = None

    def bear(self, problem: Problem) -> None:
        """Waits a moment, or raises the problem when it is of another sort or lasts too long."""
        now = time.monotonic()
        if problem.code is not Exit.UNREACHABLE:
            raise problem
        if self._away_since is None:
            self._away_since = now
            note(f"{problem.what}; waiting for it")
        if now - self._away_since > self._patience_s:
            raise problem
        threading.Event().wait(_RECONNECT_S)


def events_from(
    operator: Operator, request: op.WatchEventsRequest, *, patience_s: float = PATIENCE_S
) -> Iterator[op.WatchEventsResponse]:
    """Yields the events that are asked for, each once. With `follow`, a lost connection is taken up again at the last
    one; `request` is changed meanwhile."""
    patience = _Patience(patience_s)
    connected, follow = False, request.follow
    while True:
        try:
            for event in operator.stream(request, op.WatchEventsResponse):
                connected = True
                patience.news()
                request.after, request.tail = event.position, 0
                yield event
        except Problem as problem:
            # A first call that fails is told at once: there is nothing to take up.
            if not (follow and connected):
                raise
            patience.bear(problem)
        else:
            return


def log_pieces(
    operator: Operator, attempt_id: str, *, follow: bool, patience_s: float = PATIENCE_S
) -> Iterator[op.TailLogsResponse]:
    """Yields an attempt's output from its first byte, each byte once, also across lost connections with `follow`; at
    last, of an attempt that has ended, a piece without data that says how."""
    patience = _Patience(patience_s)
    printed = 0
    connected = False
    while True:
        offset = 0
        try:
            for piece in operator.stream(op.TailLogsRequest(attempt_id=attempt_id, follow=follow), op.TailLogsResponse):
                connected = True
                patience.news()
                if piece.state:
                    yield piece
                    continue
                fresh = _unprinted(piece, offset, printed)
                offset += piece.dropped_bytes + len(piece.data)
                if fresh is not None:
                    printed = offset
                    yield fresh
        except Problem as problem:
            if not (follow and connected):
                raise
            patience.bear(problem)
        else:
            return


def _unprinted(piece: op.TailLogsResponse, offset: int, printed: int) -> op.TailLogsResponse | None:
    """The part of a piece at `offset` that lies behind the first `printed` bytes of the output."""
    dropped = piece.dropped_bytes
    end = offset + dropped + len(piece.data)
    if end <= printed:
        return None
    if printed <= offset:
        return piece
    known = printed - offset
    return op.TailLogsResponse(dropped_bytes=max(dropped - known, 0), data=piece.data[max(known - dropped, 0) :])


class LogText:
    """Output bytes as text that cannot act on a terminal; characters may be cut between pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_line_start = True

    def take(self, piece: op.TailLogsResponse) -> str:
        """The text of the next piece, with a line that says what was left out before it."""
        text = ""
        if piece.dropped_bytes:
            text = self._decoder.decode(b"", final=True)
            self._decoder.reset()
            text += "" if self._at_line_start and not text else "\n"
            text += f"[{wording.size(piece.dropped_bytes)} left out]\n"
        text += wording.clean_lines(self._decoder.decode(piece.data).replace("\r\n", "\n"))
        if text:
            self._at_line_start = text.endswith("\n")
        return text

    def rest(self) -> str:
        """What remains at the end: a cut character, and the end of an open line."""
        text = self._decoder.decode(b"", final=True)
        return text + ("" if self._at_line_start and not text else "\n")
