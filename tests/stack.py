"""Running desks: one in a thread of the test process, or the whole stack of real processes as `make run` starts it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

from bot.app import create_app
from bot.desk.clock import Clock
from bot.settings import ROOT, Settings
from bot.store.cipher import make_keys
from tests.fakes import FakeRasa, ThreadedServer, wait_until

START_TIMEOUT_SECONDS = 240.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Person:
    """Somebody who writes through the public web API."""

    def __init__(self, url: str, language: str = "en", timeout_seconds: float = 15.0) -> None:
        self.client = httpx.Client(base_url=url, timeout=timeout_seconds, trust_env=False)
        started = self.client.post("/api/conversations", json={"language": language}).json()
        self.conversation, self.token, self.opening = started["conversation"], started["token"], started["replies"]
        self.headers = {"authorization": f"Bearer {self.token}"}

    def post(
        self, text: str | None = None, *, choice: str | None = None, client_id: str | None = None
    ) -> httpx.Response:
        said = {"text": text} if choice is None else {"choice": choice}
        body = {"id": client_id or str(uuid.uuid4()), **said}
        return self.client.post("/api/messages", json=body, headers=self.headers)

    def say(self, text: str | None = None, *, choice: str | None = None) -> list[dict[str, Any]]:
        """Send a message and return the replies of its turn, from the answer or the stream."""
        answer = self.post(text, choice=choice)
        assert answer.status_code == 202, answer.text
        body = answer.json()
        if body["replies"] or body["sequence"] is None:
            return list(body["replies"])
        return self.replies_to(body["sequence"])

    def replies_to(self, sequence: int, timeout_seconds: float = 15.0) -> list[dict[str, Any]]:
        replies: list[dict[str, Any]] = []
        for message in self.stream(after=sequence, timeout_seconds=timeout_seconds):
            if message["in_reply_to"] == sequence:
                replies.append(message)
                if message["last"]:
                    break
        return replies

    def stream(self, after: int = 0, timeout_seconds: float = 15.0) -> Any:
        headers = self.headers | {"last-event-id": str(after)}
        with self.client.stream("GET", "/api/events", headers=headers, timeout=timeout_seconds) as response:
            assert response.status_code == 200, response.read()
            for line in response.iter_lines():
                if line.startswith("data:"):
                    data = json.loads(line.removeprefix("data:"))
                    if "author" in data:
                        yield data

    def record(self) -> list[dict[str, Any]]:
        """Return the whole conversation as the record has it."""
        return list(self.client.get("/api/me", headers=self.headers).raise_for_status().json()["messages"])


class DeskThread:
    """A desk served in a thread of this process, beside whatever Rasa the settings name.

    Its record has longer to answer than a deployed one's: here it shares two cores with everything else.
    """

    rasa: FakeRasa

    def __init__(self, clock: Clock, **settings: Any) -> None:
        port = free_port()
        self.settings = Settings(port=port, **{"store_timeout_seconds": 10.0, **settings})
        make_keys(self.settings.home / "keys")
        self.app = create_app(self.settings, clock=clock)
        self.parts = self.app.state.parts
        self.url = f"http://127.0.0.1:{port}"
        self._server = ThreadedServer(self.app, port)

    def person(self, language: str = "en") -> Person:
        return Person(self.url, language)

    def ready(self) -> dict[str, str]:
        return dict(httpx.get(f"{self.url}/readyz", timeout=30, trust_env=False).json()["parts"])

    def wait_for_record(self) -> None:
        wait_until(lambda: self.ready()["store"] == "ok", "the record did not come up")

    def stop(self, *, crash: bool = False) -> None:
        self._server.stop(crash=crash)


class Stack:
    """`handrail serve` on free ports, with its state in `home`. The model is the one `handrail train` made."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.port, self.rasa_port, self.actions_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "HANDRAIL_HOME": str(home),
            "HANDRAIL_PORT": str(self.port),
            "HANDRAIL_RASA_PORT": str(self.rasa_port),
            "HANDRAIL_ACTIONS_PORT": str(self.actions_port),
            **{f"HANDRAIL_{name.upper()}": value for name, value in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    def start(self, *, with_model: bool = True, wait: bool = True) -> None:
        """Start the processes; without a model Rasa never comes up."""
        models = Path(os.environ.get("HANDRAIL_TEST_MODELS", ROOT / ".handrail" / "models"))
        if with_model and not (self.home / "models").exists():
            shutil.copytree(models, self.home / "models")
        make_keys(self.home / "keys")
        log = (self.home / "serve.log").open("ab")
        self.started_at = time.monotonic()
        self._process = subprocess.Popen(
            [str(Path(sys.executable).parent / "handrail"), "serve", "--no-train"],
            env=self.environment,
            stdout=log,
            stderr=log,
            cwd=ROOT,
        )
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                self.stop()
                raise

    def wait_ready(self, *parts: str) -> None:
        """Wait until the named parts, or all, say ok."""
        wait_until(
            lambda: self._is_ready(parts),
            lambda: f"not ready: {self.parts()}\n{self.log()}",
            START_TIMEOUT_SECONDS,
            0.3,
        )

    def _is_ready(self, parts: tuple[str, ...]) -> bool:
        status = self.parts()
        return bool(status) and all(status[part] == "ok" for part in parts or ("store", "rasa", "content"))

    def parts(self) -> dict[str, str]:
        try:
            return dict(httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).json()["parts"])
        except (httpx.HTTPError, ValueError):
            return {}

    def log(self) -> str:
        return "".join(
            path.read_text(errors="replace")[-2000:]
            for path in [self.home / "serve.log", *self.home.glob("logs/*.log")]
        )

    def pid(self, program: str) -> int:
        """Return the process id supervisor has for `program`, or 0."""
        answer = self.supervisorctl("pid", program).strip()
        return int(answer) if answer.isdecimal() else 0

    def supervisorctl(self, *words: str) -> str:
        command = [
            str(Path(sys.executable).parent / "supervisorctl"),
            "-s",
            f"unix://{self.home}/supervisor.sock",
            *words,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def signal(self, program: str, number: signal.Signals) -> int:
        pid = wait_until(lambda: self.pid(program), f"{program} is not running")
        os.kill(pid, number)
        return int(pid)

    def person(self, language: str = "en") -> Person:
        return Person(self.url, language)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process = None
