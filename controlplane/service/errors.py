"""What a service method may raise, in one place for the doors that turn it into a status."""

from controlplane.store.port import Conflict, StoreFailed


class NotFound(Exception):
    """There is no such thing; the message names it and how to list what there is."""


class Precondition(Exception):
    """The thing is not in a state that allows what was asked."""


class Damaged(Exception):
    """What lies here is not what was stored; the message says how to bring it again."""


__all__ = ["Conflict", "Damaged", "NotFound", "Precondition", "StoreFailed"]
