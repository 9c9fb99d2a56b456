"""The part of a transaction that keeps identities: certificates, boots of hosts."""

from controlplane.store.port import Certificate
from controlplane.store.sqlite.tx_records import RecordsTx

# Boots that are remembered of one agent; a machine that was copied meets its copy within its next few boots.
_BOOTS_MAX = 16


class AccessTx(RecordsTx):
    """Verbs for identities."""

    def put_certificate(self, certificate: Certificate) -> None:
        """Keep an issued certificate."""
        self.run("put_certificate", *certificate)

    def see_certificate(self, certificate: Certificate, now: float) -> None:
        """Remember that a certificate opened a session; also one that a restored backup does not know."""
        self.run("see_certificate", *certificate, now)

    def issued_since(self, agent_id: str, since: float) -> int:
        """Return how many certificates an agent was given since an instant."""
        return int(self.one("issued_since", agent_id, since)[0])

    def revoke_certificates(self, agent_id: str, now: float) -> None:
        """Revoke every certificate of an agent."""
        self.run("revoke_certificates", now, agent_id)

    def revoked_serials(self, now: float) -> list[str]:
        """Return serials of certificates that are revoked and have not ended."""
        return [row[0] for row in self.all("revoked_serials", now)]

    def drop_certificates(self, agent_id: str, ended_before: float) -> None:
        """Forget certificates of an agent that ended before an instant."""
        self.run("drop_certificates", agent_id, ended_before)

    def authority_holders(self, authority: str, now: float) -> list[str]:
        """Return names of agents with a good certificate of an authority that have not shown one of another."""
        return [row[0] for row in self.all("authority_holders", authority, now)]

    def former_boots(self, agent_id: str) -> list[str]:
        """Return boots of an agent's host that were followed by another."""
        return [row[0] for row in self.all("former_boots", agent_id)]

    def leave_boot(self, agent_id: str, boot_id: str, now: float) -> None:
        """Remember that a boot of an agent's host was followed by another."""
        self.run("leave_boot", agent_id, boot_id, now)
        self.run("trim_boots", agent_id, agent_id, _BOOTS_MAX)

    def forget_boots(self, agent_id: str) -> None:
        """Forget every boot of an agent: its identity begins anew."""
        self.run("forget_boots", agent_id)
