"""The client of Rasa's `POST /turn`: one connection pool, one deadline, any number of Rasas.

A turn is a pure function of the request, so that any Rasa answers it, and a second one may be asked while the first is
still at it. It uses aiohttp: a request costs 0.1 ms of processor time, with httpcore 0.4 (0.8 with sixteen at once).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from bot.errors import AssistantAway, AssistantRefused

KEEP_SECONDS = 4.0  # an idle connection; Sanic, beneath Rasa, closes it after five
REST_SECONDS = 5.0  # for so long a Rasa that did not answer is asked only when no other is left


@dataclass(frozen=True)
class Answer:
    """What Rasa decided: references to content, effects, and the state to hand back next time."""

    references: tuple[str, ...]
    effects: tuple[dict[str, Any], ...]
    intent: str | None
    confidence: float
    state: Any


@dataclass(frozen=True)
class _Response:
    status: int
    content: bytes


@dataclass
class _Replica:
    """One Rasa: how many turns it is at, and until when it rests."""

    url: str
    asked: int = 0
    rests_until: float = 0.0


class Rasa:
    def __init__(self, urls: Sequence[str], secret: str, timeout_seconds: float) -> None:
        self._replicas, self._timeout_seconds = [_Replica(url.rstrip("/")) for url in urls], timeout_seconds
        self._headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
        self._session: aiohttp.ClientSession | None = None
        self.has_answered = False

    async def turn(self, turn_id: str, said: dict[str, Any], language: str, state: Any) -> Answer:
        """Ask for one turn; `said` is {"text": ...} or {"choice": {"intent", "entities"}}.

        AssistantAway: none there, loading, hung or too slow. AssistantRefused: the request is at fault.
        """
        request = {"turn_id": turn_id, **said, "language": language, "state": state}
        content = json.dumps(request).encode()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._first_answer(content)
        except TimeoutError:
            raise AssistantAway("Rasa does not answer in time") from None
        if response.status in (401, 422):
            raise AssistantRefused(f"Rasa refused the turn ({response.status})")
        try:
            body = json.loads(response.content)
            answer = Answer(
                tuple(map(str, body["references"])),
                tuple(body["effects"]),
                body["intent"],
                float(body["confidence"]),
                body["state"],
            )
        except (ValueError, KeyError, TypeError):
            raise AssistantAway("Rasa's answer cannot be read") from None
        self.has_answered = True
        return answer

    async def _first_answer(self, content: bytes) -> _Response:
        """Ask the Rasa with the least to do; when it fails, or takes half of the deadline, the next one as well."""
        if len(self._replicas) == 1:
            return await self._turn(self._replicas[0], content)
        left = sorted(self._replicas, key=lambda each: (each.rests_until > time.monotonic(), each.asked))
        asked: dict[asyncio.Task[_Response], _Replica] = {}
        failed = AssistantAway("no Rasa is there")
        try:
            while left or asked:
                if left:
                    replica = left.pop(0)
                    task = asyncio.create_task(self._turn(replica, content))
                    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # looked at, whoever won
                    asked[task] = replica
                patience = self._timeout_seconds / 2 if left else None
                done, _ = await asyncio.wait(asked, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for slow in () if done else asked.values():
                    slow.rests_until = time.monotonic() + REST_SECONDS
                for task in done:
                    asked.pop(task)
                    try:
                        return task.result()
                    except AssistantAway as error:
                        failed = error
        finally:
            for task in asked:
                task.cancel()
        raise failed

    async def _turn(self, replica: _Replica, content: bytes) -> _Response:
        replica.asked += 1
        try:
            response = await self._ask("POST", f"{replica.url}/turn/", self._timeout_seconds, content)
            if response.status not in (200, 401, 422):
                raise AssistantAway(f"Rasa answered {response.status}")
            replica.rests_until = 0.0
            return response
        except AssistantAway:
            replica.rests_until = time.monotonic() + REST_SECONDS
            raise
        finally:
            replica.asked -= 1

    async def count_up(self) -> tuple[int, int]:
        """Return how many Rasas answer, and how many there should be."""
        answers = await asyncio.gather(*(self._is_up(replica) for replica in self._replicas))
        return sum(answers), len(answers)

    async def _is_up(self, replica: _Replica) -> bool:
        try:
            return (await self._ask("GET", f"{replica.url}/", 1.0)).status == 200
        except AssistantAway:
            return False

    async def _ask(self, method: str, url: str, seconds: float, content: bytes | None = None) -> _Response:
        if self._session is None:  # it belongs to the event loop that runs now
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=KEEP_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
            )
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.request(method, url, data=content, allow_redirects=False) as response,
            ):
                return _Response(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AssistantAway(f"Rasa does not answer ({type(error).__name__})") from None

    async def close(self) -> None:
        if self._session:
            await self._session.close()
