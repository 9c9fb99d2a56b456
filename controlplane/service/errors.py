"""What a service method may raise, in one place for the servicers that turn it into a status."""

from controlplane.store.port import Conflict, StoreFailed


class NotFound(Exception):
    """There is no such thing; the message names it and how to list what there is."""


class Precondition(Exception):
    """The thing is not in a state that allows what was asked."""


class AwaitsApproval(Precondition):
    """A second person must agree first; ``approval_id`` is what they agree to."""

    def __init__(self, message: str, approval_id: str) -> None:
        super().__init__(message)
        self.approval_id = approval_id


class Damaged(Exception):
    """What lies here is not what was stored; the message says how to bring it again."""


__all__ = ["AwaitsApproval", "Conflict", "Damaged", "NotFound", "Precondition", "StoreFailed"]
