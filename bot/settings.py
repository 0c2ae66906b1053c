"""The settings: frozen, typed, read once from HANDRAIL_* variables. deploy/env.example lists each with its meaning."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent
PRODUCTION_ROLES = frozenset({"clinician"})  # of reviewers whose sign-off production accepts


class Settings(BaseSettings):
    """Every knob of a Handrail process. Times are seconds, sizes bytes."""

    model_config = SettingsConfigDict(env_prefix="HANDRAIL_", frozen=True, extra="ignore")

    mode: Literal["demo", "production"] = "demo"
    country: str | None = Field(default="US", pattern=r"^[A-Z]{2}$|^$")
    home: Path = ROOT / ".handrail"
    content_folder: Path = ROOT / "content"
    using_alone: bool = False
    database_url: str = ""
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    private_host: str = "127.0.0.1"
    console_apart: bool = False
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
    public_url: str = Field(default="", pattern=r"^$|^https?://[^/\s]+$")
    allowed_origins: str = ""
    trusted_proxies: str = "127.0.0.1"
    jurisdiction: Literal["strictest", "US-CA", "US-NY", "US-UT"] = "strictest"
    staffed_hours: str = ""
    timezone: str = "UTC"
    flag_owner: str = ""
    unclaimed_seconds: float = Field(default=300, gt=0)
    unclaimed_notices: int = Field(default=2, ge=0)
    unclaimed_repeat_seconds: float = Field(default=1800, gt=0)
    owner_repeat_seconds: float = Field(default=600, gt=0)
    owner_webhook_url: str = Field(default="", pattern=r"^$|^https?://[^/\s]+\S*$")
    owner_webhook_secret: str = Field(default="", repr=False)
    owner_email: str = Field(default="", pattern=r"^$|^[^\s@]+@[^\s@]+$")
    smtp_host: str = ""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: str = Field(default="", repr=False)
    smtp_from: str = Field(default="", pattern=r"^$|^[^\s@]+@[^\s@]+$")
    counselor_silent_minutes: int = Field(default=10, ge=1)
    keep_days: int = Field(default=30, ge=1)
    keep_flagged_days: int = Field(default=180, ge=1)
    late_after_seconds: float = Field(default=900, gt=0)
    twilio_account_sid: str = ""
    twilio_auth_token: str = Field(default="", repr=False)
    twilio_number: str = Field(default="", pattern=r"^$|^\+[1-9]\d{6,14}$")
    twilio_api_url: str = Field(default="https://api.twilio.com", pattern=r"^https?://[^/\s]+$")
    sms_per_minute: int = Field(default=20, ge=1)
    sms_daily: int = Field(default=5000, ge=1)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _owner_can_be_told(self) -> Settings:
        if self.owner_webhook_url and not self.owner_webhook_secret:
            raise ValueError(
                "HANDRAIL_OWNER_WEBHOOK_URL needs HANDRAIL_OWNER_WEBHOOK_SECRET: nothing goes out unsigned"
            )
        if self.owner_email and not (self.smtp_host and self.smtp_from):
            raise ValueError("HANDRAIL_OWNER_EMAIL needs HANDRAIL_SMTP_HOST and HANDRAIL_SMTP_FROM")
        return self

    @property
    def address(self) -> str:
        """Where this Handrail is reached, without a slash at its end."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @cached_property
    def database(self) -> str:
        """The SQLAlchemy URL: HANDRAIL_DATABASE_URL, or SQLite in the home folder."""
        return self.database_url or f"sqlite:///{self.home / 'handrail.db'}"

    @cached_property
    def rasas(self) -> list[str]:
        """The addresses of every Rasa the desk may ask."""
        return _listed(self.rasa_url) or [f"http://127.0.0.1:{self.rasa_port}"]

    @cached_property
    def actions(self) -> str:
        return self.actions_url or f"http://127.0.0.1:{self.actions_port}/webhook"

    @property
    def has_demo_phone(self) -> bool:
        """Whether the demo page has a phone: never in production, nor where a token could sign for a real number."""
        return self.mode == "demo" and not self.twilio_auth_token

    @property
    def reviewer_roles(self) -> frozenset[str]:
        """Whose sign-off counts: in demo mode the demonstration reviewer's too."""
        return PRODUCTION_ROLES | (frozenset({"demonstration"}) if self.mode == "demo" else frozenset())

    @cached_property
    def origins(self) -> list[str]:
        """The websites that may show the widget: exact origins, from the comma-separated HANDRAIL_ALLOWED_ORIGINS."""
        return _listed(self.allowed_origins)

    @property
    def content_options(self) -> frozenset[str]:
        """The optional items this deployer has turned on."""
        return frozenset({"using_alone"} if self.using_alone else set())


def _listed(value: str) -> list[str]:
    return [each.strip() for each in value.split(",") if each.strip()]


def read_settings() -> Settings:
    """Return the settings of this process; SettingsError lists every unusable variable at once."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"HANDRAIL_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" if e["loc"] else e["msg"]
            for e in error.errors()
        )
        raise SettingsError(f"unusable settings: {wrong} (deploy/env.example lists each)") from None
