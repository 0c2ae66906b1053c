"""Signing: what a reviewer sees, and the line their sign-off adds to the ledger."""

from __future__ import annotations

import base64
import difflib
import os
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.content import hotlines as lines
from bot.content.check import check_item, grade, grades, messages
from bot.content.hotlines import parse_hotlines
from bot.content.item import ID, LANGUAGES, Item
from bot.content.ledger import LEDGER_FILE, REVIEWERS_FILE, Entry, Ledger, seal
from bot.content.rendering import numbered
from bot.content.shelf import read_item, read_shelf
from bot.errors import ContentError

REVIEW_DAYS = 365
SHORT_REVIEW_DAYS = 182  # what goes out of date or does most harm when wrong
SHORT_REVIEW_FOLDERS = ("card", "treatment", "clinical", lines.ITEM)


def read_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key of a key file: `#` comment lines, then base64 of 32 bytes."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
        key = "".join(line for line in text.splitlines() if not line.startswith("#"))
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(key.strip(), validate=True))
    except OSError:
        raise ContentError(f"{path.name}: cannot be read: name the reviewer's key file") from None
    except ValueError:
        raise ContentError(f"{path.name}: not a signing key: it holds base64 of 32 bytes") from None


def make_key(path: Path) -> str:
    """Write a new private key to `path` (0600), which must not be there yet, and return the public key in base64."""
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ContentError(f"{path.name}: no key can be made there ({error.strerror}): name a new file") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write("# A reviewer's private key for signing content. It stays with the reviewer.\n")
        file.write(base64.b64encode(key.private_bytes_raw()).decode() + "\n")
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def sign(
    folder: Path, file: str, *, reviewer: str, key: Ed25519PrivateKey, now: datetime, next_review: date | None = None
) -> Entry:
    """Sign a file of the content folder (`items/...` or `hotlines.yml`) and append the sign-off to the ledger.

    Writes the computed reading grade into the front matter first and, when this version was signed with other bytes,
    raises the version. ContentError when the file cannot be read, or the key is not the reviewer's.
    """
    ledger = Ledger.load(folder)
    known = ledger.reviewers.get(reviewer)
    if known is None:
        raise ContentError(f"{REVIEWERS_FILE}: no reviewer {reviewer!r}: add their public key and role")
    if known.public_key.public_bytes_raw() != key.public_key().public_bytes_raw():
        raise ContentError(f"{REVIEWERS_FILE}: the key is not that of {reviewer!r}: use theirs")
    item, language, version, sha256 = _prepare(folder / file, file, ledger)
    days = SHORT_REVIEW_DAYS if item.partition("/")[0] in SHORT_REVIEW_FOLDERS else REVIEW_DAYS
    entry = seal(
        Entry(
            item=item,
            language=language,
            version=version,
            sha256=sha256,
            reviewer=reviewer,
            role=known.role,
            signed_at=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            next_review=next_review or now.date() + timedelta(days=days),
            signature="",
        ),
        key,
    )
    with (folder / LEDGER_FILE).open("a", encoding="utf-8") as ledger_file:
        ledger_file.write(entry.line())
    return entry


def _prepare(path: Path, file: str, ledger: Ledger) -> tuple[str, str, int, str]:
    """Return item, language, version and sha256 of the bytes to sign, after writing grade and version."""
    data = _read(path, file)
    if file == lines.FILE:
        sha256 = parse_hotlines(data, file).sha256
        version = _free_version(ledger, lines.ITEM, lines.LANGUAGE, sha256, 1)
        return lines.ITEM, lines.LANGUAGE, version, sha256
    item = read_item(data, file)
    text = _with_field(data.decode(), "reading_grade", str(grade(item)))
    signable = read_item(text.encode(), file)
    version = _free_version(ledger, item.id, item.language, signable.sha256, item.version)
    text = _with_field(text, "version", str(version))
    if text.encode() != data:
        draft = path.with_suffix(".draft")
        draft.write_bytes(text.encode())
        os.replace(draft, path)
    return item.id, item.language, version, read_item(text.encode(), file).sha256


def _read(path: Path, file: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise ContentError(f"{file}: cannot be read: name a file of the content folder") from None


def _free_version(ledger: Ledger, item: str, language: str, sha256: str, version: int) -> int:
    """Return `version`, or the next one when others bytes were signed as this version or a later one."""
    other = [entry.version for entry in ledger.entries(item, language) if entry.sha256 != sha256]
    same = [entry.version for entry in ledger.entries(item, language) if entry.sha256 == sha256]
    return max([version, *same, *(number + 1 for number in other if number >= version and not same)])


def _with_field(text: str, field: str, value: str) -> str:
    """Return the file with a one-line field of its front matter set."""
    front, closing, body = text[4:].partition("\n---\n")
    line = f"{field}: {value}"
    changed, found = re.subn(rf"^{field}:.*$", line, front, count=1, flags=re.MULTILINE)
    return "---\n" + (changed if found else f"{front}\n{line}") + closing + body


def review_sheet(folder: Path, file: str, find_signed: Callable[[Path, str], bytes | None]) -> str:
    """Return what a reviewer reads before signing: the exact text, sources, grades, SMS segments, problems.

    `find_signed` takes a file and the sha256 last signed and returns those bytes, for a diff; None when it has none.
    """
    data = _read(folder / file, file)
    shelf = read_shelf(folder)
    if file == lines.FILE:
        parse_hotlines(data, file)
        return data.decode()
    item = read_item(data, file)
    before = shelf.ledger.entries(item.id, item.language)
    last = f"version {before[-1].version} by {before[-1].reviewer}, {before[-1].signed_at}" if before else "never"
    sheet = [f"{item.id} ({item.language}), version {item.version}; last signed: {last}", ""]
    sheet += _texts(item)
    if before and before[-1].sha256 != item.sha256:
        sheet += [
            "",
            "Changed since it was last signed:",
            _indent(_changes(find_signed(folder / file, before[-1].sha256), data)),
        ]
    sheet += ["", "SMS as sent:"]
    for place, text, size in messages(item, shelf.hotlines):
        sheet += [f"  {place}: {size.encoding}, {size.units} units, {size.count} segments", _indent(text)]
    sheet += ["", "Reading grade: " + ", ".join(f"{part} {value}" for part, value in grades(item).items())]
    sheet += ["Sources:", *(f"  {s.title}, {s.publisher}, {s.url} ({s.accessed})" for s in item.sources)]
    problems = [f"  {problem.what}: {problem.fix}" for problem in check_item(item, shelf.hotlines)]
    return "\n".join([*sheet, "Problems:" if problems else "Problems: none", *problems]) + "\n"


def _changes(old: bytes | None, new: bytes) -> str:
    """Return a diff from the text last signed."""
    if old is None:
        return "the signed text was not found: read the whole"
    lines = difflib.unified_diff(old.decode().splitlines(), new.decode().splitlines(), lineterm="", n=1)
    return "\n".join(list(lines)[2:])


def _texts(item: Item) -> list[str]:
    sheet = [f"{place}:\n{_indent(text)}" for place, text in item.parts() if not place.startswith("choice")]
    targets = [f"{c.label} -> {c.reference or c.intent or c.effect}" for c in item.choices]
    return [*sheet, "Choices:", _indent("\n".join(targets))] if numbered(item.choices) else sheet


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def new_item(item_id: str, language: str) -> str:
    """Return the text of a new item's file, for an author to fill in; it lives at items/<id>[.es].md."""
    if not ID.fullmatch(item_id) or language not in LANGUAGES:
        raise ContentError(f"{item_id}: not folder/name in small letters, or no such language: correct it")
    name = item_id.partition("/")[2].replace("-", "_")
    return f"""---
id: {item_id}
version: 1
language: {language}
topics: [{name}]
fits: [web, sms]
sources:
  - {{title: "", publisher: "", url: "https://", accessed: 2026-01-01}}
choices: []
---
(Web text: short paragraphs. Grade 8 at most, 6 for a card.)

## SMS
(SMS text: plain words, 4 segments at most.)
"""
