"""What a service method may raise, in one place for the doors that turn it into a status."""

from controlplane.store.port import Conflict, StoreFailed


class NotFound(Exception):
    """There is no such thing; the message names it and how to list what there is."""


class Precondition(Exception):
    """The thing is not in a state that allows what was asked."""


__all__ = ["Conflict", "NotFound", "Precondition", "StoreFailed"]
