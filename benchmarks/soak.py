"""Half of what the machine can take, for half an hour: does memory or latency grow, does anything fail?

    .venv/app/bin/python -m benchmarks.soak [--minutes 30] [--people 60]

The capacity is measured first. People come, talk for TURNS_EACH turns and go. The second tenth of the time is compared
with the last. Writes benchmarks/results/soak.md; exit status 1 when something grew by more than a tenth or failed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.beside_stock import MESSAGES, Desk, DeskTalker, closed_loop, quantile
from benchmarks.processes import memory_mb, tree
from benchmarks.results import write_result

TURNS_EACH = 20
PROGRAMS = ("desk", "rasa", "actions")
GROWTH = 1.10
LEAST_MILLISECONDS = 10.0  # a growth of the median below this is the machine's own noise
LEAST_MB = 20.0


@dataclass
class Seen:
    """What was seen: (seconds since the start, turn seconds), (seconds since the start, MB by program), failures."""

    turns: list[tuple[float, float]] = field(default_factory=list)
    memory: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)


async def load(desk: Desk, people: int, rate: float, seconds: float, sample_seconds: float) -> Seen:
    """Offer `rate` turns a second from `people` for `seconds`; each takes the next turn when it is due."""
    seen, began, numbers = Seen(), time.perf_counter(), itertools.count()

    async def come_and_go() -> None:
        talker: DeskTalker | None = None
        said = 0
        while True:
            number = next(numbers)
            due = began + number / rate
            if due - began > seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            start = time.perf_counter()
            try:
                if talker is None or said == TURNS_EACH:
                    if talker:
                        talker.close()
                    talker, said = await desk.talker(""), 0
                    start = time.perf_counter()
                await talker.say(MESSAGES[number % len(MESSAGES)])
                seen.turns.append((start - began, time.perf_counter() - start))
                said += 1
            except (OSError, EOFError, TimeoutError) as error:
                seen.failures[type(error).__name__] += 1
                talker = None
        if talker:
            talker.close()

    async def watch() -> None:
        while True:
            used = await asyncio.to_thread(desk.memory_by_program)
            seen.memory.append((time.perf_counter() - began, used))
            await asyncio.sleep(sample_seconds)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(come_and_go() for _ in range(people)))
    watching.cancel()
    return seen


class Soaked(Desk):
    def memory_by_program(self) -> dict[str, float]:
        return {program: memory_mb(tree(self._stack.pid(program))) for program in PROGRAMS}


def part(values: list[tuple[float, float]], seconds: float, start: float, end: float) -> list[float]:
    """Return the values seen between two shares of the time, sorted."""
    return sorted(value for at, value in values if seconds * start <= at <= seconds * end)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--dry", action="store_true", help="print and write nothing")
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        desk = Soaked(Path(folder))
        desk.start()
        try:
            desk.wait()
            asyncio.run(closed_loop(desk, 4, 3.0))
            _, capacity = asyncio.run(closed_loop(desk, 20, min(20.0, seconds / 3)))
            seen = asyncio.run(load(desk, arguments.people, capacity / 2, seconds, max(1.0, seconds / 60)))
        finally:
            desk.stop()
    early, late = part(seen.turns, seconds, 0.1, 0.2), part(seen.turns, seconds, 0.9, 1.0)
    slower = statistics.median(late) > statistics.median(early) * GROWTH + LEAST_MILLISECONDS / 1e3
    rows = [
        ["turns a second offered (half of what 20 clients reached)", "", f"{capacity / 2:.1f}", ""],
        ["turns", "", str(len(seen.turns)), ""],
        ["failed", "", str(seen.failures.total()), "yes" if not seen.failures else "NO"],
        ["turn, median", _ms(quantile(early, 0.5)), _ms(quantile(late, 0.5)), "NO" if slower else "yes"],
        ["turn, 99th percentile", _ms(quantile(early, 0.99)), _ms(quantile(late, 0.99)), ""],
    ]
    grew = False
    for program in PROGRAMS:
        used = [(at, each[program]) for at, each in seen.memory]
        first, last = (statistics.median(part(used, seconds, *share)) for share in ((0.1, 0.25), (0.85, 1.0)))
        more = last > first * GROWTH + LEAST_MB
        grew = grew or more
        rows.append([f"memory: {program}", f"{first:.0f} MB", f"{last:.0f} MB", "NO" if more else "yes"])
    if seen.failures:
        print(dict(seen.failures))
    if arguments.dry:
        print("\n".join(" | ".join(each) for each in rows))
    else:
        header = ("figure", "in the second tenth", "in the last", "no growth, no error")
        note = f"{arguments.minutes:.0f} minutes, SQLite, {arguments.people} people at once, {TURNS_EACH} turns each."
        write_result("soak", "Half capacity for a while", header, rows, note)
    sys.exit(1 if slower or grew or seen.failures else 0)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"


if __name__ == "__main__":
    main()
