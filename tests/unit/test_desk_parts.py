"""Tokens, limits, keys, cipher, spool, settings: the small parts of the desk and the store."""

import os
import time

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from bot.desk.limits import REMEMBERED, Admission, Busy, Calm, RateLimit
from bot.desk.logs import LoggedWords, drop_words, refuse_words
from bot.desk.tokens import Tokens
from bot.errors import SettingsError, StoreAway, UnreadableBody
from bot.settings import read_settings
from bot.store.cipher import Cipher, make_keys, read_keys
from bot.store.spool import Spool
from tests.fakes import run_async


def test_a_token_names_its_conversation() -> None:
    tokens = Tokens("key" * 20, 30)
    conversation, token = tokens.issue("es")
    claims = tokens.read(token)
    assert (claims.conversation, claims.language, claims.expired) == (conversation, "es", False)


def test_an_expired_token_still_names_its_conversation() -> None:
    _, token = Tokens("key" * 20, -1).issue("en")
    assert Tokens("key" * 20, 30).read(token).expired


@given(st.text())
def test_no_text_is_a_token(text: str) -> None:
    assert Tokens("key" * 20, 30).read(text) is None


def test_a_token_of_another_installation_is_refused() -> None:
    _, token = Tokens("a" * 60, 30).issue("en")
    assert Tokens("b" * 60, 30).read(token) is None


def test_a_rate_limit_lets_through_what_it_says() -> None:
    limit = RateLimit(5)
    assert [limit.allows("a") for _ in range(7)] == [True] * 5 + [False] * 2
    assert limit.allows("b")


def test_a_rate_limit_forgets_the_oldest_keys() -> None:
    limit = RateLimit(1)
    for number in range(REMEMBERED + 10):
        limit.allows(str(number))
    assert len(limit._buckets) == REMEMBERED


def test_admission_is_bounded_and_says_busy_at_once() -> None:
    async def run() -> float:
        admission = Admission(at_once=1, waiting=0, patience_seconds=5, calm=Calm(1))
        start = time.monotonic()
        with pytest.raises(Busy):
            async with admission.place():
                pass
        return time.monotonic() - start

    assert run_async(run()) < 1


def test_work_waits_while_many_messages_wait_for_the_guard() -> None:
    async def run() -> None:
        calm = Calm(1)
        admission = Admission(at_once=1, waiting=5, patience_seconds=0.05, calm=calm)
        with calm.assessing(), calm.assessing(), pytest.raises(Busy):
            async with admission.place():
                pass
        async with admission.place():
            pass

    run_async(run())


def test_admission_gives_up_after_its_patience() -> None:
    async def run() -> None:
        admission = Admission(at_once=1, waiting=5, patience_seconds=0.05, calm=Calm(1))
        async with admission.place():
            with pytest.raises(Busy):
                async with admission.place():
                    pass
        async with admission.place():
            assert admission.waiting == 0

    run_async(run())


def test_keys_are_made_once_and_private(tmp_path) -> None:
    assert make_keys(tmp_path / "keys")
    before = read_keys(tmp_path / "keys")
    assert not make_keys(tmp_path / "keys")
    assert read_keys(tmp_path / "keys") == before
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "keys").iterdir())
    assert before.token not in repr(before)


@pytest.mark.parametrize("fault", ["missing", "open", "empty", "not a key"])
def test_a_bad_key_file_is_named_with_its_remedy(tmp_path, fault: str) -> None:
    make_keys(tmp_path)
    path = tmp_path / "encryption.keys"
    if fault == "missing":
        path.unlink()
    elif fault == "open":
        path.chmod(0o644)
    else:
        path.write_text("" if fault == "empty" else "nonsense")
    with pytest.raises(SettingsError, match=r"encryption\.keys"):
        read_keys(tmp_path)


def test_an_old_key_still_opens_and_a_strange_one_does_not() -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    sealed = Cipher([old]).seal({"text": "hola, ¿qué tal?"})
    assert Cipher([new, old]).open(sealed) == {"text": "hola, ¿qué tal?"}
    with pytest.raises(UnreadableBody):
        Cipher([new]).open(sealed)


def test_a_key_another_thread_has_read_meanwhile_opens_too() -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    sealed = Cipher([new]).seal("hello")

    class Overtaken(Cipher):
        def refresh(self) -> bool:
            """Find nothing new: another thread was faster."""
            super().refresh()
            return False

    assert Overtaken([old], lambda: [new, old]).open(sealed) == "hello"


def test_the_spool_gives_back_what_it_took_in_order(tmp_path) -> None:
    cipher = Cipher([Fernet.generate_key().decode()])
    spool = Spool(tmp_path / "spool", cipher)
    for number in (3, 1, 2):
        spool.add({"inbound": {"conversation": "c" if number == 2 else "d"}, "n": number}, number)
    assert [entry["n"] for _, entry in spool.entries()] == [1, 2, 3]
    assert all(b'"n"' not in path.read_bytes() for path in spool.paths())
    spool.forget("c")
    assert [entry["n"] for _, entry in spool.entries()] == [1, 3]


def test_an_unreadable_spool_entry_is_kept_and_passed_over(tmp_path) -> None:
    spool = Spool(tmp_path, Cipher([Fernet.generate_key().decode()]))
    spool.add({"n": 1}, 1)
    (tmp_path / "0").write_bytes(b"half a file")
    assert [entry["n"] for _, entry in spool.entries()] == [1]
    assert (tmp_path / "0").exists()


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc, a folder nobody can write to")
def test_a_spool_that_cannot_be_written_says_so() -> None:
    from pathlib import Path

    with pytest.raises(StoreAway):
        Spool(Path("/proc/handrail-spool"), Cipher([Fernet.generate_key().decode()])).add({}, 1)


def test_bad_settings_are_all_named_at_once(monkeypatch) -> None:
    monkeypatch.setenv("HANDRAIL_PORT", "eighty")
    monkeypatch.setenv("HANDRAIL_MODE", "staging")
    with pytest.raises(SettingsError, match=r"HANDRAIL_MODE.*HANDRAIL_PORT"):
        read_settings()


def test_a_log_call_with_words_fails_tests_and_is_emptied_in_production() -> None:
    with pytest.raises(LoggedWords):
        refuse_words(None, "info", {"event": "x", "text": "words"})
    assert drop_words(None, "info", {"event": "x", "text": "words"})["text"] == "(left out)"
