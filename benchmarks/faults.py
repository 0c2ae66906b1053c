"""How long a card and an ordinary reply take while each part is broken: the promise tests P1 and P2, timed.

    .venv/app/bin/python -m benchmarks.faults

Uses the faults and checks of tests/promises on SQLite and PostgreSQL (HANDRAIL_TEST_POSTGRES_URL, or the default port);
needs root for the disk faults. Writes benchmarks/results/faults.md.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.results import write_result
from tests.promises import test_p1_p2_crisis_first_no_silence as promise
from tests.promises.faults import proxied_postgres, small_disk
from tests.stack import Stack

ROUNDS = 3


def measure(stack: Stack, database: str, faults: dict) -> list[list[str]]:
    """Return a row a fault: the slowest card and ordinary reply of all rounds and both languages, in seconds."""
    rows = []
    for name, fault in faults.items():
        taken = []
        with fault(stack):
            for language in list(promise.CRISES) * ROUNDS:
                taken.append(promise.check(stack, language))
        promise.check_recovered(stack)
        cards, ordinary = zip(*taken, strict=True)
        rows.append([name, database, f"{max(cards):.2f} s", f"{max(ordinary):.2f} s"])
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    limits = {"messages_per_minute": "100000", "conversations_per_minute": "100000"}
    with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder) / "home", 64) as home:
        stack = Stack(home, **limits)
        stack.start()
        rows = measure(stack, "SQLite", promise.SQLITE_FAULTS)
        stack.stop()
    server = os.environ.get("HANDRAIL_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
    with tempfile.TemporaryDirectory() as folder, proxied_postgres(server) as (through, proxy):
        stack = Stack(Path(folder), database_url=through, **limits)
        stack.proxy = proxy
        stack.start()
        rows += measure(stack, "PostgreSQL", promise.POSTGRES_FAULTS)
        stack.stop()
    write_result(
        "faults",
        "A card and a reply while a part is broken",
        ("fault", "database", "slowest card", "slowest ordinary reply"),
        rows,
        f"Of {2 * ROUNDS} each, English and Spanish, through the web API. Limits in the tests: a card within "
        f"{promise.CARD_SECONDS:.0f} s, a reviewed reply within {promise.REPLY_SECONDS:.0f} s.",
    )


if __name__ == "__main__":
    main()
