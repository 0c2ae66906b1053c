"""Work on many items: one that fails keeps the others from nothing, and a record that is away is not asked for each."""

from __future__ import annotations

import pytest

from bot.desk.loops import AWAY_AFTER, each
from bot.errors import StoreAway, UnreadableBody
from tests.fakes import run_async


@pytest.mark.parametrize("error", [StoreAway("held"), UnreadableBody("no key"), ValueError("a bug")])
def test_an_item_that_fails_is_passed_over(error: Exception) -> None:
    done = []

    async def work(item: int) -> None:
        if item == 1:
            raise error
        done.append(item)

    run_async(each("work", range(4), work))
    assert done == [0, 2, 3]


def test_a_record_that_is_away_ends_it() -> None:
    tried = []

    async def work(item: int) -> None:
        tried.append(item)
        raise StoreAway("away")

    with pytest.raises(StoreAway):
        run_async(each("work", range(100), work))
    assert len(tried) == AWAY_AFTER


def test_many_bodies_nobody_can_open_do_not_end_it() -> None:
    done = []

    async def work(item: int) -> None:
        if item < 50:
            raise UnreadableBody("no key")
        done.append(item)

    run_async(each("work", range(51), work))
    assert done == [50]
