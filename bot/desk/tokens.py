"""Conversation tokens: signed {conversation, language, issued, expires}, verified without the database."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeSerializer


@dataclass(frozen=True)
class Claims:
    """What a token says. `expired` tokens still name their conversation, so that a crisis can be recorded."""

    conversation: str
    language: str
    expired: bool


class Tokens:
    def __init__(self, key: str, days: int) -> None:
        self._serializer = URLSafeSerializer(key, salt="handrail.conversation")
        self._seconds = days * 86400

    def issue(self, language: str) -> tuple[str, str]:
        """Return a new conversation id and its token."""
        conversation, issued = str(uuid.uuid4()), int(time.time())
        claims = {"c": conversation, "l": language, "i": issued, "e": issued + self._seconds}
        token = self._serializer.dumps(claims)
        return conversation, token if isinstance(token, str) else token.decode()

    def read(self, token: str) -> Claims | None:
        """Return what `token` says, or None when it is not one of ours."""
        try:
            claims = self._serializer.loads(token)
            return Claims(str(claims["c"]), str(claims["l"]), time.time() > claims["e"])
        except (BadSignature, KeyError, TypeError):
            return None
