"""What we put in place of Rasa's own parts does what those do."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bot.processes import RASA_BIN, rasa_environment
from bot.settings import ROOT, Settings
from tests.dialogue.test_story_files import trained_model


def test_the_indexed_rules_and_the_planned_graph_answer_as_rasas_own() -> None:
    command = [RASA_BIN.with_name("python"), Path(__file__).with_name("rasa_parts.py"), trained_model()]
    done = subprocess.run(
        command, cwd=ROOT, env=rasa_environment(Settings()), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 200, "too few of the made-up conversations fit a rule: nothing was compared"
