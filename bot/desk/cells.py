"""Small numbers are not published: neither themselves nor what would give them away."""

from __future__ import annotations

from collections.abc import Mapping

SMALLEST = 5
Cells = dict[str, int | None]


def protect(cells: Mapping[str, int], *, total_shown: bool = True) -> Cells | None:
    """Return cells with None where a number is withheld; None altogether when the rest would give it away.

    1 to 4 is withheld. Beside a total that is shown, the smallest other numbers are withheld too, until at least two
    are and together they come to 5 and to twice their count: no one of them follows from the total.
    """
    hidden = {name for name, value in cells.items() if 0 < value < SMALLEST}
    if hidden and total_shown:
        rest = sorted((name for name, value in cells.items() if value and name not in hidden), key=cells.__getitem__)
        while len(hidden) < 2 or sum(cells[name] for name in hidden) < max(SMALLEST, 2 * len(hidden)):
            if not rest:
                return None
            hidden.add(rest.pop(0))
    return {name: None if name in hidden else value for name, value in cells.items()}
