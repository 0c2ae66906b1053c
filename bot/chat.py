"""A client of the public web API for the terminal: `handrail chat`."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx

from bot.errors import HandrailError

REPLY_TIMEOUT_SECONDS = 10.0


class Chat:
    """One conversation. A number typed alone takes the choice of that number from the last replies."""

    def __init__(self, url: str, language: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=REPLY_TIMEOUT_SECONDS, trust_env=False)
        started = self._call("POST", "/api/conversations", json={"language": language})
        self._headers = {"authorization": f"Bearer {started['token']}"}
        self.opening = "\n".join(reply["text"] for reply in started["replies"])
        self._choices: list[dict[str, str]] = []
        self._cursor = 0

    def say(self, text: str) -> dict[str, Any]:
        """Send one message and return {replies: [{item, text, choices}], flagged} of its turn."""
        said = {"text": text}
        if text.isdecimal() and 0 < int(text) <= len(self._choices):
            said = {"choice": self._choices[int(text) - 1]["id"]}
        answer = self._call("POST", "/api/messages", json={"id": str(uuid.uuid4()), **said}, headers=self._headers)
        sequence, replies = answer.get("sequence"), answer["replies"]
        if sequence is not None and not replies:
            replies = self._wait_for_turn(sequence)
        self._choices = [choice for reply in replies for choice in reply["choices"]]
        flagged = bool(answer.get("flagged")) or any(reply["flagged"] and reply["card"] for reply in replies)
        shown = [
            {"item": reply["item"], "text": reply["text"], "choices": [choice["label"] for choice in reply["choices"]]}
            for reply in replies
        ]
        return {"replies": shown, "flagged": flagged}

    def _wait_for_turn(self, sequence: int) -> list[dict[str, Any]]:
        """Read the event stream up to the last reply to `sequence`; what came by then when it takes too long."""
        replies: list[dict[str, Any]] = []
        headers = self._headers | {"last-event-id": str(self._cursor)}
        try:
            with self._client.stream("GET", "/api/events", headers=headers) as stream:
                for line in stream.iter_lines():
                    message = _message(line)
                    if message is None:
                        continue
                    self._cursor = message["sequence"] or self._cursor
                    if message["in_reply_to"] == sequence:
                        replies.append(message)
                        if message["last"]:
                            break
        except httpx.TimeoutException:
            return replies
        return replies

    def _call(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        try:
            body: dict[str, Any] = self._client.request(method, path, **given).json()
        except (httpx.HTTPError, ValueError) as error:
            raise HandrailError(f"the desk does not answer ({type(error).__name__}); is `make run` running?") from None
        return body

    def __enter__(self) -> Chat:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


def _message(line: str) -> dict[str, Any] | None:
    if not line.startswith("data:"):
        return None
    body = json.loads(line.removeprefix("data:"))
    return body if isinstance(body, dict) and "in_reply_to" in body else None
