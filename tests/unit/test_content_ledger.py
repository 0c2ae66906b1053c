"""The ledger: the state of a sign-off for each way it can be good or bad."""

import base64
import json
from datetime import timedelta

import pytest

from bot.content.ledger import Ledger, load_reviewers
from bot.errors import ContentError
from tests.unit.content_folder import NOW, ROLES, ContentFolder


@pytest.fixture
def folder(tmp_path):
    folder = ContentFolder(tmp_path / "content")
    folder.item("craving/surf")
    return folder


def rewrite(folder, **changes):
    """Change the last line of the ledger without signing it again."""
    path = folder.path / "reviews.jsonl"
    *before, last = path.read_text().splitlines()
    path.write_text("\n".join([*before, json.dumps(json.loads(last) | changes)]) + "\n")


def state(folder, **how):
    ledger = Ledger.load(folder.path)
    sha256 = ledger.entries("craving/surf", "en")[-1].sha256 if ledger.entries("craving/surf", "en") else "0"
    return ledger.standing("craving/surf", "en", sha256, **({"now": NOW, "roles": ROLES} | how)).state


def test_signed_expired_and_role(folder):
    assert state(folder) == "signed"
    assert state(folder, now=NOW + timedelta(days=365)) == "signed"
    assert state(folder, now=NOW + timedelta(days=366)) == "expired"
    assert state(folder, roles=frozenset({"demonstration"})) == "role not accepted"


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"role": "boss"},
        {"signed_at": "2030-01-01T00:00:00Z"},
        {"next_review": "2099-01-01"},
        {"signature": ""},
        {"signature": "not base64!"},
        {"signature": base64.b64encode(b"x" * 64).decode()},
    ],
)
def test_a_changed_ledger_line_is_no_sign_off(folder, changes):
    rewrite(folder, **changes)
    assert state(folder, roles=ROLES | {"boss"}) == "altered"


@pytest.mark.parametrize(("item", "language"), [("craving/surf", "es"), ("craving/walk", "en")])
def test_a_line_moved_to_another_item_or_language_does_not_verify(folder, item, language):
    rewrite(folder, item=item, language=language)
    ledger = Ledger.load(folder.path)
    sha256 = ledger.entries(item, language)[-1].sha256
    assert ledger.standing(item, language, sha256, now=NOW, roles=ROLES).state == "altered"


def test_an_unknown_reviewer_and_a_reviewer_whose_role_changed(folder):
    reviewers = folder.path / "reviewers.yml"
    text = reviewers.read_text()
    reviewers.write_text(text.replace("role: clinician", "role: manager"))
    assert state(folder) == "role not accepted"
    reviewers.write_text(text.replace("tester:", "someone:"))
    assert state(folder) == "unknown reviewer"


def test_the_best_of_several_sign_offs_counts(folder):
    path = folder.path / "reviews.jsonl"
    good = path.read_text()
    rewrite(folder, signature="")
    path.write_text(good + path.read_text())
    assert state(folder) == "signed"


def test_unreadable_lines_are_problems_and_the_rest_counts(folder):
    with (folder.path / "reviews.jsonl").open("ab") as ledger:
        ledger.write(b'{"item": 1}\n[]\n\xff\n' + b"[" * 100_000 + b"\n")
    ledger = Ledger.load(folder.path)
    assert len(ledger.problems) == 4
    assert state(folder) == "signed"


@pytest.mark.parametrize("row", ["{}", "{name: a, role: b}", "{name: a, role: b, public_key: AAAA}", "5"])
def test_an_unusable_reviewer_is_named(row):
    with pytest.raises(ContentError, match="someone"):
        load_reviewers(f"reviewers:\n  someone: {row}\n".encode())
