"""The certificate that the listeners show: made in memory, renewed before it ends, changed with the authority."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import grpc

from controlplane.identity.authorities import Authorities
from controlplane.identity.authority import CONTROLPLANE_CERTIFICATE_TTL_S, ServerCredentials
from controlplane.service.access.identities import BACKDATE_S

_log = logging.getLogger("haulier.rpc.identity")


class ListeningIdentity:
    """Asked by gRPC at every handshake, from a thread of its own."""

    def __init__(
        self,
        authorities: Authorities,
        names: Iterable[str],
        wall_clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """``names`` are those under which the control plane is reached. Raises ``IdentityError``."""
        self._authorities = authorities
        self._names = list(names)
        self._wall_clock = wall_clock
        self._random_bytes = random_bytes
        self._own = self._issue()

    def credentials(self, *, demands: bool) -> Any:
        """Credentials of one listener; ``demands``: it lets in only whom our authorities signed."""
        shown: list[tuple[bytes, bytes]] = []

        def now() -> Any:
            own, bundle = self._current(), self._authorities.bundle_pem
            if shown == [(own.chain_pem, bundle)]:
                return None  # nothing has changed since the last handshake
            shown[:] = [(own.chain_pem, bundle)]
            pair = [(own.key_pem, own.chain_pem)]
            return grpc.ssl_server_certificate_configuration(pair, bundle if demands else None)

        return grpc.dynamic_ssl_server_credentials(now(), now, require_client_authentication=demands)

    def ends_in_s(self) -> float:
        """Return how long the certificate that is shown will hold."""
        return self._own[2] + CONTROLPLANE_CERTIFICATE_TTL_S - self._wall_clock()

    def _current(self) -> ServerCredentials:
        _, signer, wall_now = self._own
        renew_at = wall_now + CONTROLPLANE_CERTIFICATE_TTL_S * 2 / 3
        if signer != self._authorities.present.fingerprint or self._wall_clock() >= renew_at:
            self._own = self._issue()
            _log.info("the listeners show a new certificate")
        return self._own[0]

    def _issue(self) -> tuple[ServerCredentials, str, float]:
        wall_now, authority = self._wall_clock(), self._authorities.present
        own = authority.issue_controlplane(
            self._names,
            not_before_at=wall_now - BACKDATE_S,
            not_after_at=wall_now + CONTROLPLANE_CERTIFICATE_TTL_S,
            serial=int.from_bytes(self._random_bytes(16), "big") >> 1,
        )
        return own, authority.fingerprint, wall_now
