"""Counselors' accounts and sessions in the database. Passwords come hashed, TOTP secrets are sealed here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from bot.errors import AccountError
from bot.store.audit import Audit
from bot.store.cipher import Cipher
from bot.store.engine import Database
from bot.store.models import ConsoleSession, Counselor
from bot.store.record import rows_of

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
NOTED_EVERY = timedelta(seconds=60)  # activity is written down this often, not with each request


@dataclass(frozen=True)
class Account:
    id: int
    name: str
    display_name: str
    role: str
    password_hash: str
    failed_count: int
    locked_until_utc: datetime | None
    is_disabled: bool


@dataclass(frozen=True)
class Visitor:
    """Who a live session belongs to. `csrf` is the token each of its forms must carry."""

    session_hash: str
    csrf: str
    counselor: int
    name: str
    display_name: str
    role: str
    last_at_utc: datetime
    ends_at_utc: datetime


class Accounts:
    """Calls are synchronous for the command line; the console runs them in the database's threads by `database.run`."""

    def __init__(self, database: Database, cipher: Cipher, audit: Audit) -> None:
        self.database, self._cipher, self._audit = database, cipher, audit

    def add(
        self,
        session: Session,
        *,
        name: str,
        display_name: str,
        role: str,
        password_hash: str,
        totp_secret: str,
        now: datetime,
    ) -> int:
        """Make an account; raises AccountError when the name is taken."""
        if session.scalar(select(Counselor.id).where(Counselor.name == name)):
            raise AccountError(f"there is a counselor {name} already; `handrail counselor reset {name}` gives new keys")
        made = Counselor(
            name=name,
            display_name=display_name,
            role=role,
            password_hash=password_hash,
            totp_secret=self._cipher.seal(totp_secret),
            totp_last_step=0,
            failed_count=0,
            created_at_utc=now,
        )
        session.add(made)
        session.flush()
        self._audit.add(session, now, made.id, "account_added", detail=role)
        return made.id

    def reset(self, session: Session, name: str, password_hash: str, totp_secret: str, now: datetime) -> None:
        """Give an account a new password and TOTP secret, unlock it, end its sessions."""
        row = self._named(session, name)
        row.password_hash, row.totp_secret, row.totp_last_step = password_hash, self._cipher.seal(totp_secret), 0
        row.failed_count, row.locked_until_utc, row.disabled_at_utc = 0, None, None
        self._end_all(session, row.id, now)
        self._audit.add(session, now, row.id, "account_reset")

    def disable(self, session: Session, name: str, now: datetime) -> None:
        """Let nobody sign in to an account any more, and end its sessions."""
        row = self._named(session, name)
        row.disabled_at_utc = now
        self._end_all(session, row.id, now)
        self._audit.add(session, now, row.id, "account_disabled")

    def change_password(self, session: Session, visitor: Visitor, password_hash: str, now: datetime) -> None:
        """Store a new password and end the account's other sessions."""
        session.get_one(Counselor, visitor.counselor).password_hash = password_hash
        self._end_all(session, visitor.counselor, now, spare=visitor.session_hash)
        self._audit.add(session, now, visitor.counselor, "password_changed")

    def find(self, session: Session, name: str) -> Account | None:
        row = session.scalar(select(Counselor).where(Counselor.name == name))
        return None if row is None else _account(row)

    def all(self, session: Session) -> list[Account]:
        return [_account(row) for row in session.scalars(select(Counselor).order_by(Counselor.name))]

    def colleagues(self, session: Session, now: datetime) -> list[tuple[Account, bool]]:
        """Return who can take over a conversation, and whether they are signed in now; those who are come first."""
        live: Any = ConsoleSession.ended_at_utc.is_(None)
        here = select(ConsoleSession.counselor_id).where(live, ConsoleSession.last_at_utc > now - IDLE)
        signed_in = set(session.scalars(here.where(ConsoleSession.created_at_utc > now - ABSOLUTE)))
        able = [each for each in self.all(session) if not each.is_disabled and each.role in ("counselor", "lead")]
        return sorted(((each, each.id in signed_in) for each in able), key=lambda pair: not pair[1])

    def totp_secret(self, session: Session, counselor: int) -> str:
        return str(self._cipher.open(session.get_one(Counselor, counselor).totp_secret))

    def note_failure(
        self, session: Session, counselor: int, lock_seconds: Callable[[int], float], now: datetime
    ) -> None:
        """Count a failure and lock the account for as long as that many ask for; a lock never becomes shorter."""
        row = session.get_one(Counselor, counselor, with_for_update=True)
        row.failed_count += 1
        if seconds := lock_seconds(row.failed_count):
            row.locked_until_utc = max(row.locked_until_utc or now, now + timedelta(seconds=seconds))
        self._audit.add(session, now, counselor, "sign_in_refused")

    def sign_in(self, session: Session, counselor: int, step: int, session_hash: str, csrf: str, now: datetime) -> bool:
        """Open a session unless the code of this TOTP step was used before or the account has been locked meanwhile.

        The database decides which came first.
        """
        open_now = or_(Counselor.locked_until_utc.is_(None), Counselor.locked_until_utc <= now)
        used = update(Counselor).where(Counselor.id == counselor, Counselor.totp_last_step < step, open_now)
        if not rows_of(session.execute(used.values(totp_last_step=step, failed_count=0, locked_until_utc=None))):
            return False
        session.execute(delete(ConsoleSession).where(ConsoleSession.created_at_utc < now - ABSOLUTE))
        session.add(
            ConsoleSession(id_hash=session_hash, counselor_id=counselor, csrf=csrf, created_at_utc=now, last_at_utc=now)
        )
        self._audit.add(session, now, counselor, "sign_in")
        return True

    def visitor(self, session: Session, session_hash: str, now: datetime) -> Visitor | None:
        """Return who a session belongs to; None when it is unknown, ended, idle, too old or its account disabled."""
        found = session.execute(
            select(ConsoleSession, Counselor)
            .join(Counselor, Counselor.id == ConsoleSession.counselor_id)
            .where(ConsoleSession.id_hash == session_hash, ConsoleSession.ended_at_utc.is_(None))
        ).first()
        if found is None:
            return None
        here, counselor = found
        if counselor.disabled_at_utc or now - here.last_at_utc > IDLE or now - here.created_at_utc > ABSOLUTE:
            return None
        return Visitor(
            here.id_hash,
            here.csrf,
            counselor.id,
            counselor.name,
            counselor.display_name,
            counselor.role,
            here.last_at_utc,
            here.created_at_utc + ABSOLUTE,
        )

    def touch(self, session: Session, session_hash: str, now: datetime) -> None:
        here = update(ConsoleSession).where(ConsoleSession.id_hash == session_hash)
        session.execute(here.values(last_at_utc=now))

    def sign_out(self, session: Session, visitor: Visitor, now: datetime) -> None:
        here = update(ConsoleSession).where(ConsoleSession.id_hash == visitor.session_hash)
        session.execute(here.values(ended_at_utc=now))
        self._audit.add(session, now, visitor.counselor, "sign_out")

    def _end_all(self, session: Session, counselor: int, now: datetime, spare: str = "") -> None:
        live: Any = ConsoleSession.ended_at_utc.is_(None)
        theirs = update(ConsoleSession).where(ConsoleSession.counselor_id == counselor, live)
        session.execute(theirs.where(ConsoleSession.id_hash != spare).values(ended_at_utc=now))

    @staticmethod
    def _named(session: Session, name: str) -> Counselor:
        row = session.scalar(select(Counselor).where(Counselor.name == name))
        if row is None:
            raise AccountError(f"there is no counselor {name}; `handrail counselor add {name}` makes one")
        return row


def _account(row: Counselor) -> Account:
    return Account(
        row.id,
        row.name,
        row.display_name,
        row.role,
        row.password_hash,
        row.failed_count,
        row.locked_until_utc,
        row.disabled_at_utc is not None,
    )
