"""Encryption at rest and the key files: MultiFernet, newest key first."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bot.errors import SettingsError, UnreadableBody

SECRETS = ("token.key", "lookup.key", "rasa.secret")
ENCRYPTION_FILE = "encryption.keys"


class Cipher:
    """Seals JSON values with its first key; opens what any of its keys sealed.

    `reread` gives the keys as they are now: a running process learns of a new key by `refresh`, and at the latest when
    it meets a body that another process sealed with it.
    """

    def __init__(self, keys: Sequence[str], reread: Callable[[], Sequence[str]] | None = None) -> None:
        self._reread = reread
        self._use(keys)

    def _use(self, keys: Sequence[str]) -> None:
        self._keys, self._newest = tuple(keys), Fernet(keys[0])
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def refresh(self) -> bool:
        """Take the keys as they are now; return whether they had changed. Unreadable key files change nothing."""
        try:
            keys = tuple(self._reread()) if self._reread else self._keys
        except SettingsError:
            return False
        if keys == self._keys:
            return False
        self._use(keys)
        return True

    def seal(self, value: Any) -> bytes:
        return self._fernet.encrypt(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())

    def open(self, sealed: bytes) -> Any:
        tried = self._fernet
        try:
            return json.loads(tried.decrypt(sealed))
        except InvalidToken:
            self.refresh()
            if self._fernet is not tried:  # by this thread or by another one meanwhile
                return self.open(sealed)
            raise UnreadableBody(
                f"a stored body opens with no key in {ENCRYPTION_FILE}; restore the key file"
            ) from None

    def reseal(self, sealed: bytes) -> bytes | None:
        """Return the same value sealed with the first key (unchanged when it was); None when no key opens it."""
        try:
            self._newest.decrypt(sealed)
            return sealed
        except InvalidToken:
            try:
                return self._fernet.rotate(sealed)
            except InvalidToken:
                return None


@dataclass(frozen=True)
class Keys:
    """The secrets of an installation. `repr` shows none of them."""

    encryption: tuple[str, ...]
    token: str
    lookup: str
    rasa: str

    def __repr__(self) -> str:
        return "Keys(...)"


def make_keys(folder: Path) -> bool:
    """Make the missing key files in `folder` (0700, files 0600); return whether any was made."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    made = False
    for name in (ENCRYPTION_FILE, *SECRETS):
        value = Fernet.generate_key().decode() if name == ENCRYPTION_FILE else secrets.token_urlsafe(48)
        try:
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(value + "\n")
        made = True
    return made


def add_encryption_key(folder: Path) -> None:
    """Put a new key before the others in the file of encryption keys; what the old ones sealed still opens."""
    _write_encryption_keys(folder, [Fernet.generate_key().decode(), *read_keys(folder).encryption])


def keep_newest_encryption_key(folder: Path) -> int:
    """Drop all encryption keys but the first; return how many went. Only after everything was sealed anew."""
    keys = read_keys(folder).encryption
    _write_encryption_keys(folder, keys[:1])
    return len(keys) - 1


def _write_encryption_keys(folder: Path, keys: Sequence[str]) -> None:
    """Replace the file in one step: whoever reads it sees the old keys or the new ones."""
    draft = folder / f".{ENCRYPTION_FILE}"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("".join(f"{key}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / ENCRYPTION_FILE)


def read_keys(folder: Path) -> Keys:
    """Return the keys in `folder`; SettingsError when one is missing, empty or readable by others."""
    values: dict[str, list[str]] = {}
    for name in (ENCRYPTION_FILE, *SECRETS):
        path = folder / name
        try:
            mode = path.stat().st_mode & 0o077
            values[name] = path.read_text().split()
        except OSError as error:
            raise SettingsError(f"key file {name} cannot be read ({error.strerror}); `handrail keys make`") from None
        if mode:
            raise SettingsError(f"key file {name} is readable by others; chmod 600 it")
        if not values[name]:
            raise SettingsError(f"key file {name} is empty; restore it from a backup or delete it to make a new one")
    try:
        for key in values[ENCRYPTION_FILE]:
            Fernet(key)
    except ValueError:
        raise SettingsError(f"{ENCRYPTION_FILE} holds something that is not a Fernet key; restore it") from None
    token, lookup, rasa = (values[name][0] for name in SECRETS)
    return Keys(tuple(values[ENCRYPTION_FILE]), token, lookup, rasa)
