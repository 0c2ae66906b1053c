"""Production mode refuses to start on each thing that would harm people, and says the remedy."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from bot.cli import app
from bot.content.signing import sign
from bot.desk.hours import Hours
from bot.errors import SettingsError
from bot.production import find_faults, require_production
from bot.settings import ROOT, Settings
from bot.store.cipher import make_keys


@pytest.fixture(scope="module")
def signed_content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library as it is, signed by a throwaway clinician's key."""
    import base64

    folder = tmp_path_factory.mktemp("signed") / "content"
    shutil.copytree(ROOT / "content", folder)
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    reviewers = f"reviewers:\n  tester: {{name: Test key, role: clinician, public_key: {public}}}\n"
    (folder / "reviewers.yml").write_text(reviewers)
    (folder / "reviews.jsonl").write_text("")
    now = datetime.now(UTC)
    for path in sorted([*folder.glob("items/**/*.md"), folder / "hotlines.yml"]):
        sign(folder, path.relative_to(folder).as_posix(), reviewer="tester", key=key, now=now)
    return folder


@pytest.fixture
def settings(tmp_path: Path, signed_content: Path) -> Settings:
    """An installation that may go into production."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    make_keys(home / "keys")
    return Settings(
        mode="production",
        home=home,
        content_folder=signed_content,
        public_url="https://help.example.org",
        allowed_origins="https://www.example.org",
        staffed_hours="mon-fri 09:00-17:00",
        timezone="America/New_York",
        flag_owner="the counselor on duty",
        owner_webhook_url="https://pager.example.org/handrail",
        owner_webhook_secret="0123456789abcdef" * 2,
    )


def test_a_whole_installation_may_start(settings: Settings) -> None:
    assert list(find_faults(settings)) == []
    require_production(settings)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"content_folder": ROOT / "content"}, "may not be served"),
        ({"public_url": "http://help.example.org"}, "not https"),
        ({"public_url": ""}, "not https"),
        ({"allowed_origins": "*"}, "not one exact https origin"),
        ({"allowed_origins": "https://www.example.org, https://*.example.org"}, "not one exact https origin"),
        ({"allowed_origins": "http://www.example.org"}, "not one exact https origin"),
        ({"trusted_proxies": "*"}, "every proxy is trusted"),
        ({"staffed_hours": ""}, "when counselors are on duty"),
        ({"staffed_hours": "weekdays"}, "staffed hours cannot be read"),
        ({"flag_owner": " "}, "nobody answers for flags"),
        ({"owner_webhook_url": "", "owner_email": ""}, "told of nothing"),
        ({"owner_webhook_url": "http://pager.example.org/"}, "webhook is not https"),
        ({"owner_webhook_secret": "short"}, "WEBHOOK_SECRET is weak"),
        ({"owner_email": "duty@example.org", "smtp_host": "mail.example.org", "smtp_security": "none"}, "in the clear"),
        ({"country": "NZ"}, "no verified emergency number"),
        ({"rasa_secret": "secret"}, "RASA_SECRET is weak"),
        ({"console_apart": True}, "cannot share SQLite"),
        ({"home": Path("/nowhere")}, "keys cannot be used"),
    ],
)
def test_each_fault_is_named_with_its_remedy(settings: Settings, changes: dict[str, object], said: str) -> None:
    changed = settings.model_copy(update=changes)
    faults = list(find_faults(changed))
    assert [fault for fault in faults if said in fault.what or said in fault.remedy], faults
    assert all(fault.remedy for fault in faults)
    with pytest.raises(SettingsError, match="production mode does not start"):
        require_production(changed)


def test_a_readable_state_folder_and_a_weak_key_are_named(settings: Settings) -> None:
    settings.home.chmod(0o755)
    (settings.home / "keys" / "token.key").write_text("changeme\n")
    said = {fault.what for fault in find_faults(settings)}
    assert said == {"others can read the state folder", "token.key is weak"}


def test_the_demo_asks_for_nothing_of_it() -> None:
    require_production(Settings(mode="demo"))


def test_serve_refuses_and_doctor_says_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HANDRAIL_MODE", "production")
    monkeypatch.setenv("HANDRAIL_HOME", str(tmp_path / "home"))
    for part in ("all", "desk"):
        served = CliRunner().invoke(app, ["serve", part])
        assert isinstance(served.exception, SettingsError)
        assert "demonstration sign-off" in str(served.exception)
    examined = CliRunner().invoke(app, ["doctor"])
    assert "demonstration sign-off" in examined.output
    assert "HANDRAIL_FLAG_OWNER" in examined.output


@pytest.mark.parametrize(
    ("hours", "moment", "is_open"),
    [
        ("mon-fri 09:00-17:00", "2026-11-23T14:30:00+00:00", True),  # a Monday, 09:30 in New York
        ("mon-fri 09:00-17:00", "2026-11-23T13:30:00+00:00", False),
        ("mon-fri 09:00-17:00", "2026-11-23T22:00:00+00:00", False),  # 17:00 sharp
        ("mon-fri 09:00-17:00", "2026-11-22T15:00:00+00:00", False),  # a Sunday
        ("fri-mon 20:00-02:00", "2026-11-24T06:30:00+00:00", True),  # Tuesday 01:30: Monday's night
        ("fri-mon 20:00-02:00", "2026-11-25T06:30:00+00:00", False),
        ("24/7", "2026-11-25T06:30:00+00:00", True),
        ("", "2026-11-25T06:30:00+00:00", False),  # nobody said when: nobody is there
    ],
)
def test_hours_are_read_in_their_time_zone(hours: str, moment: str, is_open: bool) -> None:
    assert Hours.parse(hours, "America/New_York").open_at(datetime.fromisoformat(moment)) is is_open


@pytest.mark.parametrize(("hours", "zone"), [("mon 25:00-26:00", "UTC"), ("always", "UTC"), ("24/7", "Moon/Base")])
def test_hours_that_cannot_be_read_name_the_variable(hours: str, zone: str) -> None:
    with pytest.raises(SettingsError, match="HANDRAIL_"):
        Hours.parse(hours, zone)
