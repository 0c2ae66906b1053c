"""JSON logs that carry ids and numbers, never what a person wrote."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

WORDS = frozenset({"text", "body", "message", "label", "phone", "address", "token", "key", "secret", "replies", "html"})


class LoggedWords(Exception):
    """A log call passed a field that may hold a person's words or a secret."""


def drop_words(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace fields that could hold words or secrets; tests turn this into LoggedWords by `strict`."""
    for name in WORDS & event.keys():
        event[name] = "(left out)"
    return event


def refuse_words(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if found := WORDS & event.keys():
        raise LoggedWords(f"log fields {sorted(found)} may hold words or secrets; log an id instead")
    return event


def start_logging(level: str, *, strict: bool = False) -> None:
    """Log JSON lines to standard error. `strict` raises on a field that may hold words (used by tests)."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            refuse_words if strict else drop_words,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format='{"level": "%(levelname)s", "logger": "%(name)s"}'
    )
