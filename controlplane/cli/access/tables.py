"""What the commands about access print. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from haulier.v1 import access_pb2 as ac
from rich.console import Group, RenderableType
from rich.text import Text

from controlplane.cli.screen import pieces, wording
from controlplane.cli.screen.terminal import Look


def authority_page(authority: ac.AuthorityView, look: Look) -> RenderableType:
    """The authority, and where its change stands."""
    table = pieces.table([pieces.column(""), pieces.column("", fold=True)])
    table.show_header = False
    table.add_row(Text("authority"), pieces.name(authority.fingerprint))
    table.add_row(Text("ends in"), Text(wording.duration(authority.ends_in_s)))
    if authority.next_fingerprint:
        table.add_row(Text("next"), pieces.name(authority.next_fingerprint))
        waiting = ", ".join(authority.waiting_agents)
        told = pieces.prose(f"still needed by {waiting}", "yellow") if waiting else pieces.prose("needed by nobody")
        table.add_row(Text("the old one"), told)
    return table


def tokens_table(tokens: Sequence[ac.OperatorTokenView], look: Look) -> RenderableType:
    """Operator tokens: whose, over what, until when."""
    columns = [
        pieces.column("name", flex=True),
        pieces.column("role"),
        pieces.column("over", flex=True),
        pieces.column("state"),
        pieces.column("ends in", justify="right"),
        pieces.column("token id"),
    ]
    if look.fits(110):
        columns += [pieces.column("made by", flex=True), pieces.column("age", justify="right")]
    table = pieces.table(columns)
    for token in tokens:
        left = wording.duration(token.ends_in_s) if token.ends_in_s > 0 else ""
        cells = [
            pieces.name(token.name),
            Text(token.role),
            pieces.quiet(", ".join(token.owners) or "everything"),
            pieces.state(token.state),
            Text(left),
            Text(token.token_id),
            pieces.quiet(token.created_by),
            pieces.quiet(wording.duration(token.created_ago_s)),
        ]
        table.add_row(*cells[: len(columns)])
    return table


def approvals_table(approvals: Sequence[ac.ApprovalView], look: Look) -> RenderableType:
    """Calls under the rule of two persons."""
    if not approvals:
        return pieces.nothing("no call has asked for a second person")
    columns = [
        pieces.column("approval"),
        pieces.column("state"),
        pieces.column("asked by", flex=True),
        pieces.column("what", fold=True),
        pieces.column("decided by", flex=True),
    ]
    if look.fits(110):
        columns += [pieces.column("asked", justify="right"), pieces.column("reason", fold=True)]
    table = pieces.table(columns)
    for each in approvals:
        cells = [
            Text(each.approval_id),
            pieces.state(each.state),
            pieces.name(each.asked_by),
            pieces.prose(f"{each.method} {each.summary}"),
            pieces.quiet(each.decided_by),
            Text(f"{wording.duration(each.asked_ago_s)} ago"),
            pieces.prose(each.reason),
        ]
        table.add_row(*cells[: len(columns)])
    return table


def approval_page(approval: ac.ApprovalView, look: Look) -> RenderableType:
    """One call under the rule of two persons, with every line of its list."""
    head = Text()
    head.append(f"{wording.clean(approval.approval_id)} ").append_text(pieces.state(approval.state))
    head.append(f"  {wording.clean(approval.method)}, asked by {wording.clean(approval.asked_by)} ")
    head.append(f"{wording.duration(approval.asked_ago_s)} ago")
    parts: list[RenderableType] = [head]
    if approval.decided_by:
        parts.append(pieces.prose(f"decided by {approval.decided_by}: {approval.reason or 'no reason was given'}"))
    if not approval.items:
        parts.append(pieces.prose(approval.summary))
        return Group(*parts)
    table = pieces.table([pieces.column("name", flex=True), pieces.column("as it was asked for", fold=True)])
    for item in approval.items:
        table.add_row(pieces.name(item.name), pieces.prose(item.state))
    count = wording.plural(len(approval.items), "thing")
    return Group(*parts, Text(), table, Text(f"{count} · list {approval.plan_hash[:12]}", style=pieces.QUIET))
