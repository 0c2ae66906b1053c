"""Small numbers are withheld, and nothing that is published gives one away."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.desk.cells import SMALLEST, protect
from bot.desk.reports import days_of, percentile


@pytest.mark.parametrize(
    ("cells", "published"),
    [
        ({"a": 10, "b": 20}, {"a": 10, "b": 20}),
        ({"a": 0, "b": 20}, {"a": 0, "b": 20}),
        ({"a": 3, "b": 20, "c": 40}, {"a": None, "b": None, "c": 40}),
        ({"a": 1, "b": 1, "c": 40, "d": 50}, {"a": None, "b": None, "c": None, "d": 50}),
        ({"a": 3, "b": 0}, None),
        ({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}, None),
    ],
)
def test_a_lone_small_number_takes_the_next_one_with_it(cells: dict[str, int], published: object) -> None:
    assert protect(cells) == published


def test_without_a_total_only_the_small_ones_are_withheld() -> None:
    assert protect({"a": 3, "b": 20}, total_shown=False) == {"a": None, "b": 20}


@given(st.lists(st.integers(0, 12), min_size=2, max_size=5))
def test_no_withheld_number_follows_from_the_total(values: list[int]) -> None:
    cells = {str(place): value for place, value in enumerate(values)}
    published = protect(cells)
    if published is None:
        return
    hidden = [name for name, value in published.items() if value is None]
    assert all(published[name] == value for name, value in cells.items() if name not in hidden)
    assert all(value == 0 or value >= SMALLEST or name in hidden for name, value in cells.items())
    left = sum(cells[name] for name in hidden)
    possible = [each for each in product(range(1, left + 1), repeat=len(hidden)) if sum(each) == left] if hidden else []
    for place in range(len(hidden)):
        assert len({each[place] for each in possible}) > 1


def test_periods_and_percentiles() -> None:
    assert [day.isoformat() for day in days_of("2028-02")] == ["2028-02-01", "2028-02-29"]
    assert [day.isoformat() for day in days_of("2028")] == ["2028-01-01", "2028-12-31"]
    for wrong in ("", "28", "2028-13", "2028-1", "2028-01-01", "0000"):
        with pytest.raises(ValueError, match=r"period|month|year"):
            days_of(wrong)
    assert percentile([1.0, 2.0, 3.0, 4.0, 100.0], 0.5) == 3
    assert percentile([float(each) for each in range(1, 11)], 0.9) == 9
