"""Signing in: passwords (argon2id) with a policy, TOTP used once, sessions kept by hash, lock-out with backoff."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bot.errors import AccountError
from bot.store.accounts import NOTED_EVERY, Account, Accounts, Visitor

# RFC 9106 section 4 (read 2026-11-22), second recommended option: 64 MiB, 3 passes, 4 lanes; the library's default.
HASHER = PasswordHasher()
MIN_PASSWORD_CHARACTERS = 12
MAX_PASSWORD_CHARACTERS = 200
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")
ROLES = ("counselor", "lead", "auditor")
STEP_SECONDS = 30
FREE_FAILURES = 5
FIRST_LOCK_SECONDS, LONGEST_LOCK_SECONDS = 15, 900
REMEMBERED_ADDRESSES = 10_000
FORGET_ADDRESS_SECONDS = 3600.0
HASHES_AT_ONCE = 2  # each takes 64 MiB and a core; the desk answers people on the same machine


@dataclass(frozen=True)
class Credentials:
    """What a new or reset account gets, shown once."""

    password: str
    totp_secret: str

    def __repr__(self) -> str:
        return "Credentials(...)"


def make_credentials() -> Credentials:
    return Credentials(secrets.token_urlsafe(15), pyotp.random_base32())


def totp_uri(name: str, secret: str) -> str:
    """Return what an authenticator app reads, as text or as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Handrail")


def check_name(name: str) -> None:
    """Raise AccountError unless `name` can be an account's name."""
    if not NAME.fullmatch(name):
        raise AccountError("a name has 2 to 40 characters: a-z, 0-9, dot, dash, underscore")


def check_password(password: str, name: str) -> None:
    """Raise AccountError naming what the policy asks of a password."""
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise AccountError(f"a password has at least {MIN_PASSWORD_CHARACTERS} characters; a few words do well")
    if len(password) > MAX_PASSWORD_CHARACTERS:
        raise AccountError(f"a password has at most {MAX_PASSWORD_CHARACTERS} characters")
    if name.lower() in password.lower():
        raise AccountError("a password does not contain the user name")
    if len(set(password)) < 5:
        raise AccountError("a password does not repeat a few characters only")


def hash_password(password: str) -> str:
    return HASHER.hash(password)


def hash_session(session_id: str) -> str:
    """Return what is stored of a session's id: 256 random bits need no slow hash."""
    return hashlib.sha256(session_id.encode()).hexdigest()


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """Return the TOTP step `code` belongs to, one step before or after now at most; None when to none."""
    totp, here = pyotp.TOTP(secret), int(now.timestamp()) // STEP_SECONDS
    digits = code.replace(" ", "")
    for step in (here, here - 1, here + 1):
        if secrets.compare_digest(totp.at(step * STEP_SECONDS).encode(), digits.encode()):
            return step
    return None


def lock_seconds(failures: int) -> int:
    """Return how long sign-in rests after so many failures: none, then 15 s, doubled each time up to 15 min."""
    if failures < FREE_FAILURES:
        return 0
    return min(FIRST_LOCK_SECONDS * (1 << min(failures - FREE_FAILURES, 10)), LONGEST_LOCK_SECONDS)


class Addresses:
    """Failures by address, in memory: an address that guesses many names is slowed down like one that guesses one."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._under_way: Counter[str] = Counter()

    def is_locked(self, address: str) -> bool:
        """Whether sign-in rests; tries under way count as failures until it turns out what they are."""
        count, at = self._failures.get(address, (0, 0.0))
        trying = self._under_way[address]
        return time.monotonic() - at < lock_seconds(count) or (trying > 0 and count + trying >= FREE_FAILURES)

    @contextmanager
    def trying(self, address: str) -> Iterator[None]:
        self._under_way[address] += 1
        try:
            yield
        finally:
            self._under_way[address] -= 1
            if not self._under_way[address]:
                del self._under_way[address]

    def note_failure(self, address: str) -> None:
        count, at = self._failures.pop(address, (0, 0.0))
        count = 0 if time.monotonic() - at > FORGET_ADDRESS_SECONDS else count
        self._failures[address] = (count + 1, time.monotonic())
        if len(self._failures) > REMEMBERED_ADDRESSES:
            self._failures.popitem(last=False)

    def forget(self, address: str) -> None:
        self._failures.pop(address, None)


class Auth:
    """Signs counselors in and out. Every refusal looks the same and takes as long as a check does."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts, self._database = accounts, accounts.database
        self._addresses, self._hashing = Addresses(), asyncio.Semaphore(HASHES_AT_ONCE)

    @cached_property
    def _nobody(self) -> str:
        return hash_password(secrets.token_urlsafe(16))

    async def sign_in(self, name: str, password: str, code: str, address: str, now: datetime) -> str | None:
        """Return the id of a new session; None when anything is wrong or sign-in rests, without saying which."""
        if self._addresses.is_locked(address):
            return None
        with self._addresses.trying(address):
            return await self._sign_in(name, password, code, address, now)

    async def _sign_in(self, name: str, password: str, code: str, address: str, now: datetime) -> str | None:
        name = name.strip().lower()
        account = await self._database.run(lambda session: self._accounts.find(session, name), writes=False)
        known = account.password_hash if account else self._nobody
        if account and account.locked_until_utc and account.locked_until_utc > now:
            await self._verify(self._nobody, password)
            return None
        right = await self._verify(known, password)
        session_id = None
        if account and right and not account.is_disabled:
            session_id = await self._open(account, code, now)
        if session_id is None:
            self._addresses.note_failure(address)
            if account:
                await self._note_failure(account, now)
            return None
        self._addresses.forget(address)
        return session_id

    async def _open(self, account: Account, code: str, now: datetime) -> str | None:
        secret = await self._database.run(lambda session: self._accounts.totp_secret(session, account.id), writes=False)
        step = step_of(secret, code, now)
        if step is None:
            return None
        session_id, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        hashed = hash_session(session_id)
        opened = await self._database.run(
            lambda session: self._accounts.sign_in(session, account.id, step, hashed, csrf, now)
        )
        return session_id if opened else None

    async def _note_failure(self, account: Account, now: datetime) -> None:
        await self._database.run(lambda session: self._accounts.note_failure(session, account.id, lock_seconds, now))

    async def _verify(self, password_hash: str, password: str) -> bool:
        if len(password) > MAX_PASSWORD_CHARACTERS:
            return False

        def verify() -> bool:
            try:
                return HASHER.verify(password_hash, password)
            except (VerificationError, InvalidHashError):
                return False

        async with self._hashing:
            return await asyncio.to_thread(verify)

    async def visitor(self, session_id: str, now: datetime, *, is_activity: bool) -> Visitor | None:
        """Return who is signed in with this id; `is_activity` keeps the session from going idle."""
        if not session_id:
            return None
        hashed = hash_session(session_id)
        visitor = await self._database.run(lambda session: self._accounts.visitor(session, hashed, now), writes=False)
        if visitor and is_activity and now - visitor.last_at_utc > NOTED_EVERY:
            await self._database.run(lambda session: self._accounts.touch(session, hashed, now))
        return visitor

    async def sign_out(self, visitor: Visitor, now: datetime) -> None:
        await self._database.run(lambda session: self._accounts.sign_out(session, visitor, now))

    async def change_password(self, visitor: Visitor, old: str, new: str, now: datetime) -> None:
        """Set a new password; raises AccountError when the old one is wrong or the new one against the policy."""
        account = await self._database.run(lambda session: self._accounts.find(session, visitor.name), writes=False)
        if account is None or not await self._verify(account.password_hash, old):
            raise AccountError("the present password is not right")
        check_password(new, visitor.name)
        async with self._hashing:
            hashed = await asyncio.to_thread(hash_password, new)
        await self._database.run(lambda session: self._accounts.change_password(session, visitor, hashed, now))
