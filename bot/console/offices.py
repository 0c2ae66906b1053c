"""The pages behind the queue: flags that wait, follow-ups, exports, the audit, reports, the miss review."""

from __future__ import annotations

from bot.console.audit import AuditPages
from bot.console.door import Door
from bot.console.exports import Exports
from bot.console.flags import Flags
from bot.console.followups import FollowUpPages
from bot.console.misses import MissPages
from bot.console.reports import Reports
from bot.console.views import Views
from bot.desk.clock import Clock
from bot.desk.handoff import Handoff
from bot.store.accounts import Accounts
from bot.store.board import Board
from bot.store.followups import FollowUps
from bot.store.misses import Misses
from bot.store.takeover import Takeover
from bot.store.watch import Watch


def declare_offices(
    door: Door,
    views: Views,
    takeover: Takeover,
    accounts: Accounts,
    board: Board,
    handoff: Handoff,
    clock: Clock,
    timezone: str,
) -> None:
    """Declare their routes."""
    Flags(views, Watch(takeover), clock).declare(door)
    FollowUpPages(views, FollowUps(takeover), handoff, clock, timezone).declare(door)
    Exports(views, board, clock).declare(door)
    AuditPages(views, accounts).declare(door)
    Reports(views, takeover, clock).declare(door)
    MissPages(views, Misses(takeover), clock).declare(door)
