"""A crowd of phones: none lost, none answered twice, every crisis answered at once."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.crowd import Said, account, percentile, text_at_a_rate
from tests.fakes import FakeTwilio, run_async, wait_until
from tests.phone import settings_for
from tests.stack import DeskThread

NOTHING_WRONG = {
    "lost": 0,
    "recorded twice": 0,
    "unanswered": 0,
    "answered twice": 0,
    "given twice": 0,
    "crises without a card at once": 0,
}


def crowd(desk: DeskThread, twilio: FakeTwilio, *, rate: float, seconds: float, numbers: int) -> list[Said]:
    """Let a crowd text, and hold that everything became of it that should."""
    port = urlsplit(desk.url).port or 0
    sent: list[Said] = run_async(text_at_a_rate(port, rate=rate, seconds=seconds, numbers=numbers))
    found: dict[str, int] = {}

    def is_settled() -> bool:
        found.update(account(sent, desk.parts.database, twilio.messages))
        return found == NOTHING_WRONG

    wait_until(is_settled, lambda: f"{found}", 60, 0.5)
    assert {said.status for said in sent} == {200}
    return sent


def test_a_small_crowd_is_answered_once_each(
    start_desk: Callable[..., DeskThread], twilio: FakeTwilio, database_url: str
) -> None:
    desk = start_desk(database_url=database_url, store_timeout_seconds=10, **settings_for(twilio))
    desk.wait_for_record()
    crowd(desk, twilio, rate=20, seconds=3, numbers=20)


@pytest.mark.soak
def test_100_a_second_for_30_seconds_from_500_numbers(
    start_desk: Callable[..., DeskThread], twilio: FakeTwilio, database_url: str
) -> None:
    desk = start_desk(database_url=database_url, **settings_for(twilio))
    desk.wait_for_record()
    sent = crowd(desk, twilio, rate=100, seconds=30, numbers=500)
    assert percentile(sent, 1.0) < 15.0, "Twilio had given up"
    assert percentile([said for said in sent if said.is_crisis], 0.99) < 5.0
