"""The desk beside stock Rasa, in one run: start, latency, turns a second, memory, long conversations, overload.

    .venv/app/bin/python -m benchmarks.beside_stock [--epochs 5] [--seconds 10]

Stock Rasa is trained on the same NLU data in the forms of benchmarks/stock.py; `--epochs` is of its DIET and TED, which
changes how well they learn and not how fast they answer. Every server runs alone, but for the turns a second of 20
clients: those are measured in rounds, each server under load in its turn while the others idle, so that a machine
that is faster in one minute than in the next is so for all. A turn lasts from sending a message to the last reply; the
desk's replies arrive over the event stream, as the widget gets them. Prints a table and writes
benchmarks/results/beside-stock.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import statistics
import tempfile
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.processes import in_sessions, memory_mb
from benchmarks.results import write_result
from benchmarks.stock import Stock, wait_for_answer
from benchmarks.wire import Wire
from bot.settings import ROOT
from tests.stack import Stack

MESSAGES = (
    "what happens in detox",
    "the cravings are bad tonight",
    "what is methadone",
    "what comes after detox",
    "thanks",
    "how can my family help me",
    "i feel so low today",
    "where do i find help",
)
CRISIS = "i want to kill myself"
LONG_TURNS = (20, 200, 800)
AROUND = 12  # turns measured on each side of a long conversation's mark: three rounds of MESSAGES
OVERLOAD = 3.0
CRISIS_EVERY = 20
ROUNDS = 5
PATIENCE_SECONDS = 30.0


class Desk:
    """The whole stack as `make run` starts it."""

    def __init__(self, home: Path) -> None:
        self._stack = Stack(home, messages_per_minute="1000000", conversations_per_minute="1000000")
        self.port = self._stack.port

    def start(self) -> float:
        """Start and return the clock's reading at that moment."""
        self._stack.start(wait=False)
        return self._stack.started_at

    def wait(self) -> None:
        self._stack.wait_ready()

    def sessions(self) -> list[int]:
        return [os.getsid(pid) for pid in (self._stack.pid("desk"),)]

    async def talker(self, _: str) -> DeskTalker:
        talker = DeskTalker(self.port)
        await talker.begin()
        return talker

    def stop(self) -> None:
        self._stack.stop()


class DeskTalker:
    """One person with a widget: a connection to send on, and an event stream opened with the first message."""

    def __init__(self, port: int) -> None:
        self._wire, self._stream, self._headers = Wire(port), Wire(port), ""
        self._last: dict[int, asyncio.Event] = {}
        self._reader: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        _, started = await self._wire.post("/api/conversations", {})
        self._headers = f"authorization: Bearer {started['token']}\r\n"

    async def say(self, text: str) -> None:
        """Send, and wait for the last reply of the turn on the event stream."""
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        answer = await self.send(text)
        if not answer["replies"]:
            done = self._last.setdefault(answer["sequence"], asyncio.Event())
            await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)

    async def send(self, text: str) -> dict[str, Any]:
        """Send and return what the desk answers at once; raises when that is neither an acknowledgement nor 'busy'."""
        status, answer = await self._wire.post("/api/messages", {"id": str(uuid.uuid4()), "text": text}, self._headers)
        if status not in (202, 503) or (status == 503 and not answer["replies"]):
            raise ConnectionError(f"the desk answered {status}")
        if text == CRISIS and not (answer["flagged"] and answer["replies"]):
            raise ConnectionError("no card")
        return dict(answer)

    async def _read(self) -> None:
        async for message in self._stream.events("/api/events", self._headers):
            if message.get("in_reply_to") and message["last"]:
                self._last.setdefault(message["in_reply_to"], asyncio.Event()).set()

    def close(self) -> None:
        if self._reader:
            self._reader.cancel()
        self._wire.close()
        self._stream.close()


async def first_answer(server: Any, started_at: float) -> float:
    """Return the seconds from start until a crisis message is answered."""
    while time.monotonic() - started_at < 240:
        try:
            talker = await server.talker("first")
            await talker.send(CRISIS)
            talker.close()
            return time.monotonic() - started_at
        except (OSError, EOFError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.02)
    raise SystemExit("no answer within 240 s")


async def closed_loop(server: Any, clients: int, seconds: float) -> tuple[list[float], float]:
    """Let `clients` talk without pause; return the sorted turn times and turns a second."""
    loop = uuid.uuid4().hex  # new conversations each time: stock Rasa slows with the length of one
    talkers = [await server.talker(f"{loop}-{number}") for number in range(clients)]
    for talker in talkers:
        await talker.say("hello")
    times: list[float] = []
    began = time.perf_counter()

    async def talk(talker: Any, number: int) -> None:
        for message in itertools.islice(itertools.cycle(MESSAGES), number, None):
            start = time.perf_counter()
            if start - began > seconds:
                return
            await talker.say(message)
            times.append(time.perf_counter() - start)

    await asyncio.gather(*(talk(talker, number % len(MESSAGES)) for number, talker in enumerate(talkers)))
    took = time.perf_counter() - began
    for talker in talkers:
        talker.close()
    return sorted(times), len(times) / took


async def long_conversation(server: Any) -> dict[int, float]:
    """Return the median turn time around the turns of LONG_TURNS in one conversation."""
    talker, times = await server.talker("long"), []
    messages = itertools.cycle(MESSAGES)
    for _ in range(max(LONG_TURNS) + AROUND):
        start = time.perf_counter()
        await talker.say(next(messages))
        times.append(time.perf_counter() - start)
    talker.close()
    return {turn: statistics.median(times[turn - AROUND - 1 : turn + AROUND]) for turn in LONG_TURNS}


async def overload(server: Any, per_second: float, seconds: float) -> tuple[list[float], list[float], int, int]:
    """Offer `per_second` messages, every CRISIS_EVERY-th a crisis, from as many people as it takes.

    Return the sorted answer times of crises and of the other messages, how many were not answered within
    PATIENCE_SECONDS or answered wrongly, and how many were offered.
    """
    crises: list[float] = []
    others: list[float] = []
    reasons: Counter[str] = Counter()
    count = int(per_second * seconds)
    free = deque([await server.talker(f"o{number}") for number in range(40)])

    async def one(number: int) -> None:
        is_crisis = number % CRISIS_EVERY == 0
        start = time.perf_counter()
        try:
            talker = free.popleft() if free else await server.talker(f"n{number}")
            send = talker.send(CRISIS if is_crisis else MESSAGES[number % len(MESSAGES)])
            await asyncio.wait_for(send, PATIENCE_SECONDS)
            free.append(talker)
            (crises if is_crisis else others).append(time.perf_counter() - start)
        except (OSError, EOFError, TimeoutError) as error:
            reasons[f"{type(error).__name__} {error}"] += 1

    began, tasks = time.perf_counter(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    if reasons:
        print(f"overload, without an answer: {dict(reasons)}", flush=True)
    return sorted(crises), sorted(others), reasons.total(), count


def quantile(times: list[float], part: float) -> float:
    return times[min(len(times) - 1, int(len(times) * part))] if times else float("nan")


async def measure(server: Any, wait: Callable[[], None], started_at: float, seconds: float) -> dict[str, float]:
    """Return every figure of one server, started at `started_at`; times in seconds."""
    found = {"start": await first_answer(server, started_at)}
    await asyncio.to_thread(wait)
    await closed_loop(server, 4, 3.0)
    one, _ = await closed_loop(server, 1, seconds)
    _, rate = await closed_loop(server, 20, seconds)
    found |= {"p50 1": quantile(one, 0.5), "p99 1": quantile(one, 0.99)}
    found["memory"] = memory_mb(in_sessions(server.sessions()))
    found |= {f"turn {turn}": value for turn, value in (await long_conversation(server)).items()}
    crises, others, failed, offered = await overload(server, rate * OVERLOAD, seconds)
    found |= {"crisis p99": quantile(crises, 0.99), "other p99": quantile(others, 0.99)}
    found |= {"failed": failed, "offered": offered, "offered rate": rate * OVERLOAD}
    print({name: round(value, 3) for name, value in found.items()}, flush=True)
    return found


async def by_turns(servers: dict[str, Any], seconds: float) -> dict[str, dict[str, float]]:
    """Load the running servers one after the other with 20 clients, ROUNDS times; return the medians of the rounds."""
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
    for server in servers.values():
        await closed_loop(server, 4, 3.0)
    for _ in range(ROUNDS):
        for name, server in servers.items():
            times, rate = await closed_loop(server, 20, seconds)
            rounds[name].append({"p50 20": quantile(times, 0.5), "p99 20": quantile(times, 0.99), "rate": rate})
    print({name: [round(one["rate"], 1) for one in ones] for name, ones in rounds.items()}, flush=True)
    return {
        name: {key: statistics.median(one[key] for one in ones) for key in ones[0]} for name, ones in rounds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5, help="of stock Rasa's DIET and TED")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    parser.add_argument("--desk-only", action="store_true", help="print the desk's figures and write nothing")
    arguments = parser.parse_args()
    stocks = [Stock(ROOT / ".handrail" / "bench", form, arguments.epochs) for form in ("b", "a")]
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        try:
            found["desk"] = asyncio.run(measure(desk, desk.wait, desk.start(), arguments.seconds))
        finally:
            desk.stop()
    if arguments.desk_only:
        return
    for stock in stocks:
        stock.prepare()
        stock.start()
        try:
            measuring = measure(stock, lambda stock=stock: wait_for_answer(stock), stock.started_at, arguments.seconds)  # type: ignore[misc]
            found[stock.form] = asyncio.run(measuring)
        finally:
            stock.stop()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        desk = Desk(Path(folder))
        running.callback(desk.stop)
        desk.start()
        desk.wait()
        for stock in stocks:
            running.callback(stock.stop)
            stock.start()
            wait_for_answer(stock)
        together = asyncio.run(by_turns({"desk": desk} | {stock.form: stock for stock in stocks}, arguments.seconds))
    for name, figures in together.items():
        found[name] |= figures
    write_result(
        "beside-stock", "The desk beside stock Rasa", HEADER, rows(found), NOTE.format(arguments.epochs, ROUNDS)
    )


HEADER = ("figure", "desk", "stock (a)", "stock (b)", "bar", "met")
NOTE = (
    "Stock (a): Rasa's default pipeline and policies (DIET, TED; {} epochs each), SQLite tracker, REST channel, one "
    "custom action a turn. Stock (b): our light pipeline, SQLite tracker, no action. Same NLU data, same run, each "
    "server alone on the machine with the client; the figures of 20 clients are medians of {} rounds in which the "
    "servers, all running, are loaded one after the other. Overload: three times a server's turns a second is offered "
    f"for the same time, every {CRISIS_EVERY}th message a crisis; stock Rasa knows no crisis, its figure is the reply "
    "to the same message. Memory is the proportional set of all processes (desk, Rasa, actions, supervisor)."
)


def rows(found: dict[str, dict[str, float]]) -> list[list[str]]:
    """Return the table: the desk beside both forms, the bar and whether it is met."""
    desk, a, b = found["desk"], found["a"], found["b"]
    milliseconds = "{:.0f} ms"

    def row(name: str, key: str, form: str, bar: str = "", met: bool | None = None, scale: float = 1.0) -> list[str]:
        shown = [form.format(server[key] * scale) for server in (desk, a, b)]
        return [name, *shown, bar, "" if met is None else "yes" if met else "NO"]

    p50, card = desk["p50 1"], desk["crisis p99"]
    bounded = desk["turn 800"] / desk["turn 20"]
    return [
        row("first answer after start", "start", "{:.1f} s", "desk <= 4 s", desk["start"] <= 4),
        row(
            "turn p50, 1 client",
            "p50 1",
            milliseconds,
            "<= 0.6 (a), <= 1.0 (b)",
            p50 <= 0.6 * a["p50 1"] and p50 <= b["p50 1"],
            1e3,
        ),
        row("turn p99, 1 client", "p99 1", milliseconds, scale=1e3),
        row("turn p50, 20 clients", "p50 20", milliseconds, scale=1e3),
        row("turn p99, 20 clients", "p99 20", milliseconds, scale=1e3),
        row("turns a second, 20 clients", "rate", "{:.1f}", ">= 4 (a)", desk["rate"] >= 4 * a["rate"]),
        row("memory", "memory", "{:.0f} MB"),
        row("turn 20 of one conversation", "turn 20", milliseconds, scale=1e3),
        row("turn 200", "turn 200", milliseconds, scale=1e3),
        row("turn 800", "turn 800", milliseconds, "<= 1.2 turn 20", bounded <= 1.2, 1e3),
        row("overload: messages a second offered", "offered rate", "{:.0f}"),
        row(
            "overload: crisis answered, p99",
            "crisis p99",
            milliseconds,
            "<= 300 ms, <= 0.1 (a)",
            card <= 0.3 and card <= a["crisis p99"] / 10,
            1e3,
        ),
        row("overload: others acknowledged or answered, p99", "other p99", milliseconds, scale=1e3),
        row("overload: without an answer in 30 s", "failed", "{:.0f}", "0", desk["failed"] == 0),
    ]


if __name__ == "__main__":
    main()
