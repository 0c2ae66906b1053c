"""The client of Rasa's `POST /turn`: one connection pool, one deadline.

It uses httpcore, the pool beneath httpx: for one fixed address the layers above it only cost time.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpcore

from bot.errors import AssistantAway, AssistantRefused


@dataclass(frozen=True)
class Answer:
    """What Rasa decided: references to content, effects, and the state to hand back next time."""

    references: tuple[str, ...]
    effects: tuple[dict[str, Any], ...]
    intent: str | None
    confidence: float
    state: Any


class Rasa:
    def __init__(self, url: str, secret: str, timeout_seconds: float) -> None:
        self._url, self._timeout_seconds = url.rstrip("/"), timeout_seconds
        self._headers = [("authorization", f"Bearer {secret}"), ("content-type", "application/json")]
        self._pool = httpcore.AsyncConnectionPool(max_connections=100, max_keepalive_connections=32)
        self.has_answered = False

    async def turn(self, turn_id: str, said: dict[str, Any], language: str, state: Any) -> Answer:
        """Ask for one turn; `said` is {"text": ...} or {"choice": {"intent", "entities"}}.

        AssistantAway: not there, loading, hung or too slow. AssistantRefused: the request is at fault.
        """
        request = {"turn_id": turn_id, **said, "language": language, "state": state}
        response = await self._ask("POST", "/turn/", self._timeout_seconds, json.dumps(request).encode())
        if response.status in (401, 422):
            raise AssistantRefused(f"Rasa refused the turn ({response.status})")
        if response.status != 200:
            raise AssistantAway(f"Rasa answered {response.status}")
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

    async def is_up(self) -> bool:
        try:
            return (await self._ask("GET", "/", 1.0)).status == 200
        except AssistantAway:
            return False

    async def _ask(self, method: str, path: str, seconds: float, content: bytes | None = None) -> httpcore.Response:
        try:
            async with asyncio.timeout(seconds):
                return await self._pool.request(method, self._url + path, headers=self._headers, content=content)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, TimeoutError) as error:
            raise AssistantAway(f"Rasa does not answer ({type(error).__name__})") from None

    async def close(self) -> None:
        await self._pool.aclose()
