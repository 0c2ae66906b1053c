"""Stock Rasa on the same NLU data, for comparison: what `rasa init` and Rasa's demos do, without a desk.

Form "a": the default pipeline and policies (DIET, TED), an SQLite tracker, the REST channel, one custom action a turn.
Form "b": our light pipeline, an SQLite tracker, the REST channel, no action.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.wire import Wire
from bot.processes import RASA_BIN, rasa_environment
from bot.settings import ROOT, Settings
from tests.fakes import wait_until
from tests.stack import free_port

TEXT = (
    "Cravings come in waves. Most of them rise, peak and pass within minutes, whether or not you act on them. "
    "Let us ride this one together. Put both feet on the floor. Notice where in your body you feel it most. "
    "Breathe out slowly, longer than you breathe in. You do not have to make it go away. Each wave you ride out "
    "makes the next one a little easier. If it feels too strong to be alone with, call someone you trust. "
)
ACTION = f"""from rasa_sdk import Action


class ActionReply(Action):
    def name(self):
        return "action_reply"

    def run(self, dispatcher, tracker, domain):
        dispatcher.utter_message(text={TEXT!r})
        return []
"""
DEFAULT_CONFIG = """recipe: default.v1
assistant_id: stock
language: en
pipeline:
  - name: WhitespaceTokenizer
  - name: RegexFeaturizer
  - name: LexicalSyntacticFeaturizer
  - name: CountVectorsFeaturizer
  - name: CountVectorsFeaturizer
    analyzer: char_wb
    min_ngram: 1
    max_ngram: 4
  - name: DIETClassifier
    epochs: {epochs}
  - name: EntitySynonymMapper
  - name: ResponseSelector
    epochs: {epochs}
  - name: FallbackClassifier
    threshold: 0.3
    ambiguity_threshold: 0.1
policies:
  - name: MemoizationPolicy
  - name: TEDPolicy
    max_history: 5
    epochs: {epochs}
  - name: RulePolicy
"""


class Stock:
    """A stock assistant in `folder`: `prepare` writes and trains it, `start` runs it."""

    def __init__(self, folder: Path, form: str, epochs: int) -> None:
        self.folder, self.form, self._epochs = folder / form, form, epochs
        self.port, self._actions_port = free_port(), free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        # Form "b" has our own component in its pipeline, form "a" its action in its folder.
        path = f"{self.folder}{os.pathsep}{ROOT}"
        self._environment = rasa_environment(Settings()) | {"PYTHONPATH": path}
        self.started_at = 0.0

    def prepare(self) -> None:
        """Write the project and train it, unless the same project was trained here before."""
        files = self._files()
        trained_from = {name: text for name, text in files.items() if name != "endpoints.yml"}
        digest = hashlib.sha256(json.dumps(trained_from, sort_keys=True).encode())
        for path in sorted((ROOT / "data" / "nlu").glob("*.yml")):
            digest.update(path.read_bytes())
        mark = self.folder / "trained-from"
        if mark.exists() and mark.read_text() == digest.hexdigest():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(ROOT / "data" / "nlu", self.folder / "data")
        for name, text in files.items():
            (self.folder / name).write_text(text)
        began = time.monotonic()
        with (self.folder / "train.log").open("wb") as log:
            command = [str(RASA_BIN), "train", "--fixed-model-name", "stock"]
            subprocess.run(command, cwd=self.folder, env=self._environment, check=True, stdout=log, stderr=log)
        print(f"stock ({self.form}) trained in {time.monotonic() - began:.0f} s", flush=True)
        mark.write_text(digest.hexdigest())

    def _files(self) -> dict[str, str]:
        ours = yaml.safe_load((ROOT / "domain.yml").read_text())
        intents = [intent for intent in ours["intents"] if intent != "nlu_fallback"]
        domain: dict[str, Any] = {"version": "3.1", "intents": intents, "entities": ours.get("entities", [])}
        endpoints: dict[str, Any] = {"tracker_store": {"type": "SQL", "dialect": "sqlite", "db": "tracker.db"}}
        if self.form == "a":
            domain["actions"], action = ["action_reply"], "action_reply"
            endpoints["action_endpoint"] = {"url": f"http://127.0.0.1:{self._actions_port}/webhook"}
            config = DEFAULT_CONFIG.format(epochs=self._epochs)
        else:
            domain["responses"], action = {"utter_reply": [{"text": TEXT}]}, "utter_reply"
            config = (ROOT / "config.yml").read_text()
        rules = [{"rule": name, "steps": [{"intent": name}, {"action": action}]} for name in intents]
        rules.append({"rule": "fallback", "steps": [{"intent": "nlu_fallback"}, {"action": action}]})
        stories = [
            {
                "story": f"{one} {two}",
                "steps": [{"intent": one}, {"action": action}, {"intent": two}, {"action": action}],
            }
            for one, two in zip(intents, [*intents[7:], *intents[:7]], strict=True)
        ]
        return {
            "config.yml": config,
            "domain.yml": yaml.safe_dump(domain, sort_keys=False),
            "data/rules.yml": yaml.safe_dump({"version": "3.1", "rules": rules}, sort_keys=False),
            **(
                {"data/stories.yml": yaml.safe_dump({"version": "3.1", "stories": stories})} if self.form == "a" else {}
            ),
            "credentials.yml": "rest:\n",
            "endpoints.yml": yaml.safe_dump(endpoints),
            "stock_actions.py": ACTION,
        }

    def start(self) -> None:
        """Start Rasa, and the action server in form (a), and wait until a message is answered."""
        (self.folder / "tracker.db").unlink(missing_ok=True)
        (self.folder / "endpoints.yml").write_text(self._files()["endpoints.yml"])
        self.started_at = time.monotonic()
        log = (self.folder / "run.log").open("wb")
        if self.form == "a":
            command = [sys.executable, "-m", "rasa_sdk", "--actions", "stock_actions", "-p", str(self._actions_port)]
            self._spawn(command, log)
        command = [str(RASA_BIN), "run", "--model", "models/stock.tar.gz", "--interface", "127.0.0.1"]
        command += ["--port", str(self.port), "--endpoints", "endpoints.yml", "--credentials", "credentials.yml"]
        self._spawn(command, log)

    def _spawn(self, command: list[str], log: Any) -> None:
        self._processes.append(
            subprocess.Popen(
                command, cwd=self.folder, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        )

    def sessions(self) -> list[int]:
        return [process.pid for process in self._processes]

    async def talker(self, name: str) -> StockTalker:
        return StockTalker(self.port, name)

    def stop(self) -> None:
        for process in self._processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            process.wait(20)
        self._processes.clear()


class StockTalker:
    """One person writing through the REST channel."""

    def __init__(self, port: int, name: str) -> None:
        self._wire, self._name = Wire(port), name

    async def say(self, text: str) -> None:
        status, replies = await self._wire.post("/webhooks/rest/webhook", {"sender": self._name, "message": text})
        if status != 200 or not replies:
            raise ConnectionError(f"stock Rasa answered {status} with {len(replies or [])} replies")

    send = say

    def close(self) -> None:
        self._wire.close()


def wait_for_answer(stock: Stock) -> None:
    """Wait until stock Rasa's port is open; its first message is then answered by a loaded model."""
    import socket

    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", stock.port)) == 0

    wait_until(is_open, "stock Rasa did not start", 240.0, 0.05)
