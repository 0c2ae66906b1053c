"""Signing: what it writes, what it refuses, what a reviewer sees."""

import base64
import subprocess
from datetime import date

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.content import parse_item
from bot.content.ledger import Ledger
from bot.content.signing import make_key, new_item, read_key, review_sheet, sign
from bot.content.status import lines_to_check, status, table
from bot.content_commands import find_signed
from bot.errors import ContentError
from tests.unit.content_folder import NOW, ContentFolder


@pytest.fixture
def folder(tmp_path):
    return ContentFolder(tmp_path / "content")


def test_signing_writes_the_grade_and_one_line(folder):
    file = folder.item("craving/surf", signed=False, choices="[{label: A, intent: b}]")
    lines = (folder.path / "reviews.jsonl").read_text().count("\n")
    entry = sign(folder.path, file, reviewer="tester", key=folder.key, now=NOW)
    item = parse_item((folder.path / file).read_bytes(), file)
    assert item.reading_grade is not None
    assert entry.sha256 == item.sha256
    assert (entry.version, entry.next_review) == (1, date(2027, 11, 22))
    assert (folder.path / "reviews.jsonl").read_text().count("\n") == lines + 1
    assert sign(folder.path, file, reviewer="tester", key=folder.key, now=NOW).sha256 == entry.sha256


def test_a_reviewer_makes_a_key_that_signs_and_keeps_the_private_half(folder, tmp_path):
    file = tmp_path / "ana.key"
    public = make_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert base64.b64encode(read_key(file).public_key().public_bytes_raw()).decode() == public
    assert public not in file.read_text()
    with pytest.raises(ContentError, match="name a new file"):
        make_key(file)
    assert base64.b64encode(read_key(file).public_key().public_bytes_raw()).decode() == public


def test_new_words_get_a_new_version(folder):
    file = folder.item("craving/surf")
    path = folder.path / file
    path.write_text(path.read_text().replace("Sit down. Breathe.", "Stand up."))
    assert sign(folder.path, file, reviewer="tester", key=folder.key, now=NOW).version == 2
    assert parse_item(path.read_bytes(), file).version == 2
    assert [item.version for item in folder.load().items()] == [2]


def test_cards_and_hotlines_come_up_for_review_sooner(folder):
    folder.card()
    ledger = Ledger.load(folder.path)
    assert ledger.entries("card/suicide", "en")[0].next_review == date(2027, 5, 23)
    assert ledger.entries("hotlines", "-")[0].next_review == date(2027, 5, 23)


def test_only_the_reviewers_own_key_signs_for_them(folder):
    file = folder.item("craving/surf", signed=False)
    for reviewer, key, named in (("tester", Ed25519PrivateKey.generate(), "key"), ("nobody", folder.key, "nobody")):
        with pytest.raises(ContentError, match=named):
            sign(folder.path, file, reviewer=reviewer, key=key, now=NOW)
    assert Ledger.load(folder.path).entries("craving/surf", "en") == []


def test_an_unusable_file_is_not_signed(folder):
    blue = folder.item("craving/surf", signed=False, colour="blue")
    head = folder.item("craving/walk", signed=False, text="# Head")
    for name, named in ((blue, "colour"), (head, "heading"), ("items/craving/none.md", "cannot be read")):
        with pytest.raises(ContentError, match=named):
            sign(folder.path, name, reviewer="tester", key=folder.key, now=NOW)


def test_a_key_file_may_have_comments_and_nothing_else(tmp_path):
    path = tmp_path / "a.key"
    path.write_text("# public on purpose\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    assert read_key(path).private_bytes_raw() == bytes(range(32))
    for text in ("", "AAAA", "not a key é"):
        path.write_text(text)
        with pytest.raises(ContentError, match=r"a\.key"):
            read_key(path)


def test_the_review_sheet_shows_text_sources_grade_segments_and_problems(folder):
    file = folder.item("craving/surf", sms="Call 555-0100-123 now.", choices="[{label: More, reference: surf}]")
    sheet = review_sheet(folder.path, file, find_signed)
    for shown in ("Sit down. Breathe.", "Call 555-0100-123 now.", "A page", "GSM-7", "More -> surf", "version 1 by"):
        assert shown in sheet
    assert "Problems:\n" in sheet
    assert "Reading grade: web" in sheet


def test_the_review_sheet_shows_what_changed_since_the_last_sign_off(folder):
    file = folder.item("craving/surf")
    path = folder.path / file
    signed = path.read_text()

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=folder.path, check=True, capture_output=True)

    path.write_text(signed.replace("Breathe.", "Breathe slowly."))
    assert "the signed text was not found" in review_sheet(folder.path, file, find_signed)
    path.write_text(signed)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "signed")
    path.write_text(signed.replace("Breathe.", "Breathe slowly."))
    sheet = review_sheet(folder.path, file, find_signed)
    assert "-Sit down. Breathe.\n" in sheet
    assert "+Sit down. Breathe slowly.\n" in sheet


def test_a_new_item_is_a_template_with_its_place(folder):
    text = new_item("craving/cold-walk", "es")
    assert "id: craving/cold-walk\n" in text
    assert "language: es" in text
    with pytest.raises(ContentError):
        new_item("../etc", "en")


def test_status_says_what_is_due(folder):
    folder.item("craving/surf")
    folder.item("craving/walk", signed=False)
    rows = {row.item: row for row in status(folder.path, now=NOW)}
    assert rows["craving/surf"].state == "signed"
    assert rows["craving/surf"].days_left == 365
    assert rows["craving/walk"].state == "unsigned"
    assert not rows["craving/surf"].is_due_soon
    later = {row.item: row for row in status(folder.path, now=NOW.replace(year=2027, month=11, day=1))}
    assert later["craving/surf"].is_due_soon
    assert later["hotlines"].state == "expired"
    assert "craving/walk  en        1        unsigned" in table(list(rows.values()))
    assert lines_to_check(folder.path, now=NOW) == []
    assert lines_to_check(folder.path, now=NOW.replace(month=12, day=31)) == ["us/911", "us/988"]
