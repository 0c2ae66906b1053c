"""The ledger: who signed which exact bytes, in content/reviews.jsonl, and whether that still counts."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bot.content.frontmatter import decode, load_yaml
from bot.content.problem import Problem, problem_of
from bot.errors import ContentError

LEDGER_FILE = "reviews.jsonl"
REVIEWERS_FILE = "reviewers.yml"
MAX_LEDGER_BYTES = 32 * 1024 * 1024
State = Literal["signed", "unsigned", "altered", "expired", "unknown reviewer", "role not accepted"]
REMEDIES: dict[State, str] = {
    "signed": "nothing to do",
    "unsigned": "have it reviewed, then run `handrail content sign`",
    "altered": "restore the signed text, or have the new text reviewed and run `handrail content sign`",
    "expired": "have it reviewed again, then run `handrail content sign`",
    "unknown reviewer": f"add the reviewer's public key and role to {REVIEWERS_FILE}, or have it signed by one listed",
    "role not accepted": "have it signed by a reviewer whose role counts in this mode",
}
BEST_FIRST: tuple[State, ...] = ("signed", "expired", "role not accepted", "unknown reviewer", "altered")


@dataclass(frozen=True)
class Reviewer:
    """Someone (or the demonstration) whose sign-offs can be checked."""

    name: str
    role: str
    public_key: Ed25519PublicKey


@dataclass(frozen=True)
class Entry:
    """One sign-off: a line of the ledger."""

    item: str
    language: str
    version: int
    sha256: str
    reviewer: str
    role: str
    signed_at: str
    next_review: date
    signature: str

    def payload(self) -> bytes:
        """The bytes that are signed: canonical JSON of everything but the signature."""
        values = {**vars(self), "next_review": self.next_review.isoformat()}
        del values["signature"]
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def line(self) -> str:
        values = {**json.loads(self.payload()), "signature": self.signature}
        return json.dumps(values, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Standing:
    """Whether a text may be served, and the sign-off that decided it."""

    state: State
    entry: Entry | None = None

    @property
    def remedy(self) -> str:
        return REMEDIES[self.state]


class Ledger:
    """The sign-offs and the reviewers. `problems` lists lines that cannot be read; they count as absent."""

    def __init__(self, entries: list[Entry], reviewers: Mapping[str, Reviewer], problems: list[Problem]) -> None:
        self.reviewers, self.problems = reviewers, problems
        self._entries: dict[tuple[str, str], list[Entry]] = {}
        for entry in entries:
            self._entries.setdefault((entry.item, entry.language), []).append(entry)

    @classmethod
    def load(cls, folder: Path) -> Ledger:
        """Read the ledger and the reviewers of a content folder; never raises: what is unreadable is unsigned."""
        entries: list[Entry] = []
        problems: list[Problem] = []
        try:
            with (folder / LEDGER_FILE).open("rb") as file:
                lines = file.read(MAX_LEDGER_BYTES).split(b"\n")
        except OSError as error:
            lines = []
            problems.append(problem_of(LEDGER_FILE, error))
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    entries.append(_entry(line))
                except (ValueError, TypeError, KeyError, RecursionError):
                    problems.append(Problem(LEDGER_FILE, f"line {number} is not a sign-off", "restore or remove it"))
        try:
            reviewers = load_reviewers((folder / REVIEWERS_FILE).read_bytes())
        except (OSError, ContentError) as error:
            reviewers = {}
            problems.append(problem_of(REVIEWERS_FILE, error))
        return cls(entries, reviewers, problems)

    def entries(self, item: str, language: str) -> list[Entry]:
        """Return the sign-offs of an item in a language, oldest first."""
        return self._entries.get((item, language), [])

    def standing(self, item: str, language: str, sha256: str, *, now: datetime, roles: frozenset[str]) -> Standing:
        """Return whether these exact bytes may be served now, judged by the best of their sign-offs.

        Bytes signed earlier are `altered` once a later version has a sign-off that counts: an old text brought
        back with its old signature is not served.
        """
        entries = self.entries(item, language)
        if not entries:
            return Standing("unsigned")
        judged = [(self._judge(entry, now, roles), entry) for entry in entries]
        newest = max((entry.version for state, entry in judged if state in ("signed", "expired")), default=0)
        own = [(state, entry) for state, entry in judged if entry.sha256 == sha256 and entry.version >= newest]
        if not own:
            return Standing("altered")
        state, entry = min(own, key=lambda pair: (BEST_FIRST.index(pair[0]), -pair[1].next_review.toordinal()))
        return Standing(state, entry)

    def _judge(self, entry: Entry, now: datetime, roles: frozenset[str]) -> State:
        reviewer = self.reviewers.get(entry.reviewer)
        if reviewer is None:
            return "unknown reviewer"
        try:
            reviewer.public_key.verify(base64.b64decode(entry.signature, validate=True), entry.payload())
        except (InvalidSignature, ValueError):
            return "altered"
        if reviewer.role != entry.role or entry.role not in roles:
            return "role not accepted"
        return "expired" if now.date() > entry.next_review else "signed"


def _entry(line: bytes) -> Entry:
    values: dict[str, Any] = json.loads(line)
    values["next_review"] = date.fromisoformat(values["next_review"])
    entry = Entry(**values)
    if type(entry.version) is not int or not all(
        isinstance(value, str) for name, value in vars(entry).items() if name not in ("version", "next_review")
    ):
        raise ValueError("a field has the wrong type")
    return entry


def load_reviewers(data: bytes) -> dict[str, Reviewer]:
    """Return the reviewers by id: `reviewers: {id: {name, role, public_key}}`, the key being base64 of 32 bytes."""
    values = load_yaml(decode(data, REVIEWERS_FILE), REVIEWERS_FILE).get("reviewers")
    if not isinstance(values, dict):
        raise ContentError(f"{REVIEWERS_FILE}: must hold `reviewers:`, by id")
    reviewers = {}
    for reviewer, row in values.items():
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(row["public_key"], validate=True))
            reviewers[reviewer] = Reviewer(str(row["name"]), str(row["role"]), key)
        except (TypeError, KeyError, ValueError):
            raise ContentError(f"{REVIEWERS_FILE}: {reviewer} needs name, role and public_key (base64)") from None
    return reviewers


def seal(entry: Entry, key: Ed25519PrivateKey) -> Entry:
    """Return the entry with its signature."""
    return Entry(**{**vars(entry), "signature": base64.b64encode(key.sign(entry.payload())).decode()})
