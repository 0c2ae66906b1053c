"""What Rasa is given: one private channel, no stock channel, no HTTP API, no telemetry."""

import inspect

import yaml

from bot import processes
from bot.settings import ROOT, Settings


def test_no_stock_channel_is_enabled() -> None:
    credentials = yaml.safe_load((ROOT / "credentials.yml").read_text())
    assert set(credentials) == {"bot.assistant.channel.TurnChannel"}


def test_rasa_keeps_nothing() -> None:
    endpoints = yaml.safe_load((ROOT / "endpoints.yml").read_text())
    assert endpoints["tracker_store"] == {"type": "bot.assistant.state.TurnTrackerStore"}
    assert set(endpoints) == {"action_endpoint", "tracker_store"}


def test_rasa_runs_on_loopback_without_api_and_telemetry(tmp_path) -> None:
    source = inspect.getsource(processes.serve_rasa)
    assert '"--interface", settings.private_host' in source
    assert Settings.model_fields["private_host"].default == "127.0.0.1"
    assert "--enable-api" not in source
    environment = processes.rasa_environment(Settings(home=tmp_path))
    assert environment["RASA_TELEMETRY_ENABLED"] == "false"
    assert environment["LOG_LEVEL"] == "WARNING"


def test_the_session_never_expires_into_a_lost_form() -> None:
    domain = yaml.safe_load((ROOT / "domain.yml").read_text())
    assert domain["session_config"]["session_expiration_time"] == 0
