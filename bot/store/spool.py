"""The spool: one encrypted file a message, durable before it is acknowledged, for when the record is away."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.errors import StoreAway, UnreadableBody
from bot.store.cipher import Cipher


class Spool:
    """A folder of sealed entries, oldest first by name. Entries leave only when the record has them."""

    def __init__(self, folder: Path, cipher: Cipher) -> None:
        self._folder, self._cipher = folder, cipher

    def add(self, entry: dict[str, Any], received_at_ns: int) -> None:
        """Write `entry` durably (file and folder synced); StoreAway when even that cannot be done."""
        self._write(f"{received_at_ns:020d}-{uuid.uuid4().hex}", self._cipher.seal(entry))

    def _write(self, name: str, sealed: bytes) -> None:
        half = self._folder / f".{name}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
            half.rename(self._folder / name)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            half.unlink(missing_ok=True)
            raise StoreAway(f"neither record nor spool can be written ({error.strerror})") from None

    def entries(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield the waiting entries, oldest first; an unreadable one stays where it is and is passed over."""
        for path in self.paths():
            try:
                yield path, self._cipher.open(path.read_bytes())
            except (OSError, UnreadableBody):
                continue

    def reseal(self) -> int:
        """Seal the waiting entries with the newest key; return how many were changed.

        One that was adopted meanwhile comes back and is adopted again, which changes nothing.
        """
        changed = 0
        for path in self.paths():
            try:
                old = path.read_bytes()
            except OSError:
                continue
            new = self._cipher.reseal(old)
            if new is not None and new != old:
                self._write(path.name, new)
                changed += 1
        return changed

    def paths(self) -> list[Path]:
        try:
            return sorted(path for path in self._folder.iterdir() if not path.name.startswith("."))
        except OSError:
            return []

    def forget(self, conversation: str) -> None:
        """Remove a conversation's entries."""
        for path, entry in self.entries():
            if entry.get("inbound", {}).get("conversation") == conversation:
                path.unlink(missing_ok=True)
