"""A desk as a process of its own, for tests that kill it; run as `python -m tests.process AHEAD_SECONDS`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx

from bot.settings import ROOT, Settings, read_settings
from bot.store.cipher import Cipher, make_keys, read_keys
from bot.store.engine import Database
from bot.store.record import Record
from tests.fakes import FakeRasa, MovedClock, wait_until
from tests.stack import START_TIMEOUT_SECONDS, free_port


class DeskProcess:
    """One desk, without supervisor, beside a hand-written Rasa. `kill` is kill -9; `start` again finds what it left."""

    def __init__(self, rasa: FakeRasa, home: Path, **settings: object) -> None:
        given = {"home": home, "port": free_port(), "rasa_url": rasa.url, **settings}
        self.rasa, self.settings = rasa, Settings(**given)
        self.url = f"http://127.0.0.1:{self.settings.port}"
        self._environment = os.environ | {f"HANDRAIL_{name.upper()}": str(value) for name, value in given.items()}
        make_keys(home / "keys")
        database = Database(self.settings.database, 10)
        self.parts = SimpleNamespace(
            database=database, record=Record(database, Cipher(read_keys(home / "keys").encryption))
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ahead_seconds: float = 0.0) -> None:
        """Start, with a clock that goes ahead of this machine's, and wait until the record is up."""
        with (self.settings.home / "desk.log").open("ab") as log:
            command = [sys.executable, "-m", "tests.process", str(ahead_seconds)]
            self._process = subprocess.Popen(command, env=self._environment, cwd=ROOT, stdout=log, stderr=log)
        try:
            wait_until(self._is_up, lambda: (self.settings.home / "desk.log").read_text(), START_TIMEOUT_SECONDS, 0.1)
        except BaseException:
            self.kill()
            raise

    def _is_up(self) -> bool:
        try:
            return bool(httpx.get(f"{self.url}/readyz", trust_env=False).json()["parts"]["store"] == "ok")
        except (httpx.HTTPError, ValueError):
            return False

    def kill(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(20)
        self._process = None

    def stop(self) -> None:
        self.kill()
        self.parts.database.close()


def serve(ahead_seconds: float) -> None:
    import uvicorn

    from bot.app import create_app
    from bot.desk.logs import start_logging

    settings, clock = read_settings(), MovedClock()
    clock.moved = timedelta(seconds=ahead_seconds)
    start_logging(settings.log_level)
    uvicorn.run(create_app(settings, clock=clock), port=settings.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    serve(float(sys.argv[1]))
