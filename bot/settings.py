"""The settings: frozen, typed, read once from HANDRAIL_* variables. deploy/env.example lists each with its meaning."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Every knob of a Handrail process. Times are seconds, sizes bytes."""

    model_config = SettingsConfigDict(env_prefix="HANDRAIL_", frozen=True, extra="ignore")

    mode: Literal["demo", "production"] = "demo"
    country: str | None = Field(default="US", pattern=r"^[A-Z]{2}$|^$")
    home: Path = ROOT / ".handrail"
    content_folder: Path = ROOT / "content"
    database_url: str = ""
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    rasa_url: str = ""
    rasa_port: int = Field(default=5005, ge=1, le=65535)
    rasa_timeout_seconds: float = Field(default=4.0, gt=0)
    rasa_secret: str = ""
    actions_url: str = ""
    actions_port: int = Field(default=5055, ge=1, le=65535)
    store_timeout_seconds: float = Field(default=1.5, gt=0)
    max_body_bytes: int = Field(default=65536, ge=1024)
    max_text_characters: int = Field(default=2000, ge=100)
    messages_per_minute: int = Field(default=30, ge=1)
    conversations_per_minute: int = Field(default=60, ge=1)
    turns_at_once: int = Field(default=16, ge=1)
    turns_waiting: int = Field(default=200, ge=1)
    messages_waiting: int = Field(default=400, ge=1)
    token_days: int = Field(default=30, ge=1)
    late_after_seconds: float = Field(default=900, gt=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @cached_property
    def database(self) -> str:
        """The SQLAlchemy URL: HANDRAIL_DATABASE_URL, or SQLite in the home folder."""
        return self.database_url or f"sqlite:///{self.home / 'handrail.db'}"

    @cached_property
    def rasa(self) -> str:
        return self.rasa_url or f"http://127.0.0.1:{self.rasa_port}"

    @cached_property
    def actions(self) -> str:
        return self.actions_url or f"http://127.0.0.1:{self.actions_port}/webhook"

    @property
    def reviewer_roles(self) -> frozenset[str]:
        """Whose sign-off counts: in demo mode the demonstration reviewer's too."""
        return frozenset({"clinician"} | ({"demonstration"} if self.mode == "demo" else set()))


def read_settings() -> Settings:
    """Return the settings of this process; SettingsError lists every unusable variable at once."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"HANDRAIL_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"unusable settings: {wrong} (deploy/env.example lists each)") from None
