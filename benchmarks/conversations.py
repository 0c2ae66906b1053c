"""Many conversations at once through the whole stack: does every reply belong to its conversation?

    .venv/app/bin/python -m benchmarks.conversations [--people 200] [--restart]

Each person fills in a recovery plan with words of their own and asks other things; the finished plan must hold these
words and nobody else's. With --restart the desk and Rasa are killed while everybody is in the middle of the form.
Prints a table and writes it to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

from benchmarks.results import write_result
from tests.stack import Stack

TRIES = 60
DAYS = ["mondays", "tuesdays", "wednesdays", "thursdays", "fridays", "saturdays", "sundays"]
PLACES = [
    *("bakery", "library", "market", "station", "museum", "harbor", "stadium", "garage", "laundry", "barber"),
    *("theater", "gallery", "campus", "cinema", "airport", "warehouse", "workshop", "cafeteria", "gym", "pool"),
    *("beach", "farm", "orchard", "nursery", "mall", "arcade", "depot", "terminal", "lobby", "canteen"),
]


# One for each question of the plan's form.
THINGS = ("payday", "music", "coffee", "tea", "football", "knitting", "chess")


class Person:
    """One person with words nobody else uses; `turns` holds the seconds from sending to the last reply."""

    def __init__(self, client: httpx.AsyncClient, number: int) -> None:
        day, place = DAYS[number % len(DAYS)], PLACES[number // len(DAYS) % len(PLACES)]
        self._client = client
        # Plain everyday words: odd ones beside kin or animals read like danger to the guard, and a card comes instead.
        self.words = [f"{thing}, {day} at the {place}" for thing in THINGS]
        self.turns: list[float] = []
        self.items: list[list[str]] = []
        self.texts: list[str] = []

    async def begin(self) -> None:
        started = (await self._client.post("/api/conversations", json={})).json()
        self._headers = {"authorization": f"Bearer {started['token']}"}

    async def say(self, text: str) -> None:
        """Send until acknowledged, as the widget does, and wait for the last reply of the turn."""
        start, body = time.perf_counter(), {"id": str(uuid.uuid4()), "text": text}
        answer = await self._retry(lambda: self._client.post("/api/messages", json=body, headers=self._headers))
        replies = answer.json()["replies"] or await self._retry(lambda: self._replies(answer.json()["sequence"]))
        self.turns.append(time.perf_counter() - start)
        self.items.append([reply["item"] for reply in replies])
        self.texts.append("\n".join(reply["text"] for reply in replies))

    async def _retry(self, call: Any) -> Any:
        for _ in range(TRIES):
            try:
                result = await call()
                if not isinstance(result, httpx.Response) or result.status_code == 202:
                    return result
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.5)
        raise SystemExit("the desk did not come back")

    async def _replies(self, sequence: int) -> list[dict[str, Any]]:
        headers, replies = self._headers | {"last-event-id": str(sequence)}, []
        async with self._client.stream("GET", "/api/events", headers=headers) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    message = json.loads(line.removeprefix("data:"))
                    if message.get("in_reply_to") == sequence:
                        replies.append(message)
                        if message["last"]:
                            return replies
        raise httpx.ReadError("the stream ended")


async def run(stack: Stack, count: int, restart: bool) -> list[Person]:
    limits = httpx.Limits(max_connections=2 * count)
    async with httpx.AsyncClient(base_url=stack.url, limits=limits, timeout=60, trust_env=False) as client:
        people = [Person(client, number) for number in range(count)]
        await asyncio.gather(*(person.begin() for person in people))
        for text in ("hello", "make a plan"):
            await asyncio.gather(*(person.say(text) for person in people))
        for number in range(len(THINGS)):
            await asyncio.gather(*(person.say(person.words[number]) for person in people))
            if restart and number == len(THINGS) // 2:
                stack.signal("desk", signal.SIGKILL)
                stack.signal("rasa", signal.SIGKILL)
                await asyncio.to_thread(stack.wait_ready)
        for text in (
            "what happens in detox",
            "the cravings are bad",
            "what is methadone",
            "what comes after detox",
            "thanks",
        ):
            await asyncio.gather(*(person.say(text) for person in people))
    return people


def mixed_up(people: list[Person]) -> int:
    """Return how many people were shown words that only somebody else wrote."""
    count = 0
    for person in people:
        others = [word for other in people if other is not person for word in other.words]
        count += any(word in text for text in person.texts for word in others)
    return count


def incomplete(people: list[Person]) -> int:
    """Return how many people did not get all their own words back in their finished plan."""
    finished = 1 + len(THINGS)  # the reply to the last answer, after "hello" and "make a plan"
    return sum(any(word not in person.texts[finished] for word in person.words) for person in people)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--restart", action="store_true", help="kill desk and Rasa in the middle of the form")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(
            Path(folder),
            messages_per_minute="100000",
            conversations_per_minute="100000",
            turns_waiting="1000",
            rasa_timeout_seconds="30",
        )
        stack.start()
        try:
            people = asyncio.run(run(stack, arguments.people, arguments.restart))
        finally:
            stack.stop()
    seconds = sorted(turn for person in people for turn in person.turns)
    rows = [
        ("people at once", str(arguments.people)),
        ("turns", str(len(seconds))),
        ("desk and Rasa killed in the middle of the form", "yes" if arguments.restart else "no"),
        ("people shown somebody else's words", str(mixed := mixed_up(people))),
        ("plans without all of a person's own words", str(lost := incomplete(people))),
        ("turn, median", f"{statistics.median(seconds):.2f} s"),
        ("turn, 99th percentile", f"{seconds[int(len(seconds) * 0.99)]:.2f} s"),
    ]
    write_result(
        f"conversations{'-restart' if arguments.restart else ''}",
        "Many conversations at once",
        ("figure", "value"),
        rows,
    )
    if mixed or lost:
        raise SystemExit("a person saw somebody else's words, or not all of their own: read the table above")


if __name__ == "__main__":
    main()
