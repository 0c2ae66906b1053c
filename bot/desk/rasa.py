"""The client of Rasa's `POST /turn`: one pooled connection, one deadline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

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
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {secret}"},
            timeout=timeout_seconds,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=32),
            trust_env=False,
        )
        self.has_answered = False

    async def turn(self, turn_id: str, said: dict[str, Any], language: str, state: Any) -> Answer:
        """Ask for one turn; `said` is {"text": ...} or {"choice": {"intent", "entities"}}.

        AssistantAway: not there, loading, hung or too slow. AssistantRefused: the request is at fault.
        """
        request = {"turn_id": turn_id, **said, "language": language, "state": state}
        try:
            response = await self._client.post("/turn/", json=request)
        except httpx.HTTPError as error:
            raise AssistantAway(f"Rasa does not answer ({type(error).__name__})") from None
        if response.status_code in (401, 422):
            raise AssistantRefused(f"Rasa refused the turn ({response.status_code})")
        if response.status_code != 200:
            raise AssistantAway(f"Rasa answered {response.status_code}")
        try:
            body = response.json()
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
            return (await self._client.get("/", timeout=1.0)).status_code == 200
        except httpx.HTTPError:
            return False

    async def close(self) -> None:
        await self._client.aclose()
