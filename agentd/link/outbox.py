"""What waits to be sent in one session. Everything unsent merges; a message stays within 64 KiB.

A slow stream therefore costs memory for the newest state of each attempt and never for its history.
"""

import asyncio

from haulier.v1 import agent_pb2 as pb

from agentd.core.effects import SendReport
from agentd.core.grants import HeldSummary, HostSample, Outcome, ProgressReport
from agentd.core.release_state import HostRelease
from agentd.core.witnessing import TreeHead
from agentd.link import translate, translate_audit

MESSAGE_BYTES_MAX = 64 * 1024
# Room for a field's tag and length, and for what a message says of itself.
_FRAME_BYTES = 16
_OWN_BYTES = 512


class Outbox:
    """Unsent reports of one session."""

    def __init__(self) -> None:
        self._heartbeat = False
        self._sample: HostSample | None = None
        self._release: HostRelease | None = None
        self._witnessed: TreeHead | None = None
        self._held: dict[str, HeldSummary] = {}
        self._progress: dict[str, ProgressReport] = {}
        self._results: dict[str, Outcome] = {}
        self._waiting = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._sequence = 1

    def add(self, report: SendReport, sample: HostSample | None = None) -> None:
        """Merge a report with what waits: the newest state of each attempt wins, a start is not forgotten."""
        self._heartbeat |= report.heartbeat
        self._sample = sample or self._sample
        self._release = report.release or self._release
        self._witnessed = report.witnessed or self._witnessed
        self._held |= {each.attempt_id: each for each in report.held}
        self._results |= {each.attempt_id: each for each in report.results}
        for each in report.progress:
            before = self._progress.get(each.attempt_id)
            started = each.started or (before is not None and before.started)
            self._progress[each.attempt_id] = ProgressReport(each.attempt_id, each.fence, each.progress, started)
        self._empty.clear()
        self._waiting.set()

    @property
    def is_waiting(self) -> bool:
        """Whether something waits to be sent."""
        return self._waiting.is_set()

    async def wait(self) -> None:
        """Return when something waits to be sent."""
        await self._waiting.wait()

    async def emptied(self) -> None:
        """Return when everything was taken and `sent` was called for it."""
        await self._empty.wait()

    def sent(self) -> None:
        """The message that was taken last has been written."""
        if not self.is_waiting:
            self._empty.set()

    def take(self) -> pb.SessionRequest:
        """The next message, numbered: renewals first because they are urgent, then results, then progress."""
        self._sequence += 1
        message = pb.SessionRequest(sequence=self._sequence)
        room = MESSAGE_BYTES_MAX - _OWN_BYTES
        if self._heartbeat:
            message.heartbeat.SetInParent()
            if self._witnessed is not None:
                # It stays for the rest of a heartbeat that does not fit into one message.
                message.heartbeat.witnessed.MergeFrom(translate_audit.tree_head(self._witnessed))
            if self._sample is not None:
                message.heartbeat.sample.CopyFrom(translate.sample(self._sample))
                self._sample = None
            if self._release is not None:
                message.heartbeat.release.CopyFrom(translate.release(self._release))
                room -= message.heartbeat.release.ByteSize()
                self._release = None
            room = self._take_held(message, room)
            self._heartbeat = bool(self._held)
        room = self._take_results(message, room)
        self._take_progress(message, room)
        if not (self._heartbeat or self._results or self._progress):
            self._waiting.clear()
        return message

    def _take_held(self, message: pb.SessionRequest, room: int) -> int:
        for attempt_id, summary in list(self._held.items()):
            each = translate.held(summary)
            room -= each.ByteSize() + _FRAME_BYTES
            if room < 0:
                break
            message.heartbeat.held.append(each)
            del self._held[attempt_id]
        return room

    def _take_results(self, message: pb.SessionRequest, room: int) -> int:
        for attempt_id, outcome in list(self._results.items()):
            each = translate.result(outcome)
            room -= each.ByteSize() + _FRAME_BYTES
            if room < 0:
                break
            message.results.append(each)
            del self._results[attempt_id]
            # Its progress is part of the past.
            self._progress.pop(attempt_id, None)
        return room

    def _take_progress(self, message: pb.SessionRequest, room: int) -> None:
        for attempt_id, report in list(self._progress.items()):
            each = translate.progress(report)
            room -= each.ByteSize() + _FRAME_BYTES
            if room < 0:
                break
            message.progress.append(each)
            del self._progress[attempt_id]
