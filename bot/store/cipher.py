"""Encryption at rest and the key files: MultiFernet, newest key first."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bot.errors import SettingsError, UnreadableBody

SECRETS = ("token.key", "lookup.key", "rasa.secret")
ENCRYPTION_FILE = "encryption.keys"


class Cipher:
    """Seals JSON values; opens what any of its keys sealed."""

    def __init__(self, keys: list[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, value: Any) -> bytes:
        return self._fernet.encrypt(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())

    def open(self, sealed: bytes) -> Any:
        try:
            return json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise UnreadableBody(
                f"a stored body opens with no key in {ENCRYPTION_FILE}; restore the key file"
            ) from None


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
