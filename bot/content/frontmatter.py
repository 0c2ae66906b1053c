"""Strict YAML for files that are signed: safe types only, no aliases, no key twice."""

from __future__ import annotations

from typing import Any

import yaml

from bot.errors import ContentError

MAX_BYTES = 64 * 1024
MAX_DEPTH = 10


class StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader (in C where PyYAML has it: five times as fast) that refuses duplicate keys."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        seen = set()
        for key in keys:
            if not isinstance(key, str):
                raise yaml.YAMLError(f"the key {str(key)[:40]!r} is not text: put it in quotes")
            if key in seen:
                raise yaml.YAMLError(f"the key {key[:40]!r} is there twice: keep one")
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _refuse_traps(text: str) -> None:
    """Refuse aliases (a few can unfold into gigabytes) and deep nesting (it can crash the loader)."""
    depth = 0
    for event in yaml.parse(text, Loader=StrictLoader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name): write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested deeper than {MAX_DEPTH}: write it flatter")


def decode(data: bytes, file: str) -> str:
    """Return the bytes of a content file as text; ContentError when they are not plain UTF-8 with LF line ends."""
    if len(data) > MAX_BYTES:
        raise ContentError(f"{file}: larger than {MAX_BYTES} bytes: split it")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ContentError(f"{file}: byte {error.start} is not UTF-8: save the file as UTF-8") from None
    if text.startswith("\ufeff") or "\r" in text or "\x00" in text:
        raise ContentError(f"{file}: has a byte order mark, CR or NUL: save it as UTF-8 with LF line ends")
    return text


def load_yaml(text: str, file: str) -> dict[str, Any]:
    """Return the mapping written in `text`; ContentError names the line that cannot be read."""
    try:
        _refuse_traps(text)
        value = yaml.load(text, Loader=StrictLoader)  # noqa: S506 - StrictLoader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ContentError(f"{file}: the YAML cannot be read{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, AttributeError) as error:
        raise ContentError(f"{file}: the YAML cannot be read: {str(error).partition(chr(10))[0][:200]}") from None
    if not isinstance(value, dict):
        raise ContentError(f"{file}: the YAML must be `name: value` lines")
    return value
