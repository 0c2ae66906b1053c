"""Many open event streams on one desk: memory a stream, and how long a message takes to its stream.

    .venv/app/bin/python -m benchmarks.streams [--streams 1000] [--seconds 30] [--rate 20]

Each person has a stream open; now and then one of them writes, and the time runs from sending until the message stands
in that person's stream. Rasa is not needed and not started. Writes benchmarks/results/streams.md.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import tempfile
import time
import uuid
from pathlib import Path

from benchmarks.beside_stock import quantile
from benchmarks.processes import memory_mb, tree
from benchmarks.results import write_result
from benchmarks.wire import Wire
from tests.stack import Stack

OPENED_AT_ONCE = 50
SETTLE_SECONDS = 3.0
PATIENCE_SECONDS = 20.0


class Listener:
    """Somebody with the widget open: a stream, and a connection to send on that is opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port, self._stream = port, Wire(port)
        self._waited: dict[str, asyncio.Future[float]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def open(self) -> None:
        wire = Wire(self._port)
        _, started = await wire.post("/api/conversations", {})
        self._headers = f"authorization: Bearer {started['token']}\r\n"
        await wire.post("/api/messages", {"id": str(uuid.uuid4()), "text": "hello"}, self._headers)
        wire.close()
        self._reader = asyncio.create_task(self._read())

    async def say(self, text: str) -> float:
        """Send, and return the seconds until the message stands in the stream."""
        wire, client_id = Wire(self._port), str(uuid.uuid4())
        arrived = self._waited[client_id] = asyncio.get_running_loop().create_future()
        start = time.perf_counter()
        try:
            await wire.post("/api/messages", {"id": client_id, "text": text}, self._headers)
            return await asyncio.wait_for(arrived, PATIENCE_SECONDS) - start
        finally:
            wire.close()

    async def _read(self) -> None:
        async for message in self._stream.events("/api/events", self._headers):
            if waited := self._waited.pop(message.get("client_id") or "", None):
                waited.set_result(time.perf_counter())

    def close(self) -> None:
        if self._reader:
            self._reader.cancel()
        self._stream.close()


async def run(stack: Stack, count: int, seconds: float, rate: float) -> dict[str, float]:
    desk = tree(stack.pid("desk"))
    people = [Listener(stack.port) for _ in range(count)]
    warm = people[: min(20, count)]
    for person in warm:
        await person.open()
    await asyncio.gather(*(person.say("the evenings are long") for person in warm))
    await asyncio.sleep(SETTLE_SECONDS)
    before = memory_mb(desk)
    for start in range(len(warm), count, OPENED_AT_ONCE):
        await asyncio.gather(*(person.open() for person in people[start : start + OPENED_AT_ONCE]))
    await asyncio.sleep(SETTLE_SECONDS)
    memory = (memory_mb(desk) - before) / max(1, count - len(warm))
    chance, began, tasks = random.Random(12), time.perf_counter(), []
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(chance.choice(people).say("the evenings are long")))
    done = await asyncio.gather(*tasks, return_exceptions=True)
    times = sorted(each for each in done if isinstance(each, float))
    found = {"memory": memory, "p50": quantile(times, 0.5), "p99": quantile(times, 0.99), "longest": times[-1]}
    found |= {"sent": len(tasks), "lost": len(tasks) - len(times)}
    for person in people:
        person.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=20.0, help="messages a second")
    parser.add_argument("--dry", action="store_true", help="print and write nothing")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), messages_per_minute="1000000", conversations_per_minute="1000000")
        stack.start(with_model=False, wait=False)
        try:
            stack.wait_ready("store", "content")
            found = asyncio.run(run(stack, arguments.streams, arguments.seconds, arguments.rate))
        finally:
            stack.stop()
    rows = [
        ["streams open", str(arguments.streams)],
        ["memory of the desk a stream", f"{found['memory'] * 1024:.0f} KB"],
        [f"a message into its stream at {arguments.rate:.0f} a second, p50", f"{found['p50'] * 1e3:.0f} ms"],
        ["p99", f"{found['p99'] * 1e3:.0f} ms"],
        ["longest", f"{found['longest'] * 1e3:.0f} ms"],
        ["sent, and not delivered in 20 s", f"{found['sent']:.0f}, {found['lost']:.0f}"],
    ]
    if arguments.dry:
        print("\n".join(" | ".join(each) for each in rows))
        return
    note = "From sending until the message stands in the person's own stream. Memory is the desk's."
    write_result("streams", "Open event streams on one desk", ("figure", "value"), rows, note)


if __name__ == "__main__":
    main()
