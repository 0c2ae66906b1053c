"""Rasa plays every story of this folder against the trained model; one wrong prediction fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bot.processes import RASA_BIN, model_path, rasa_environment
from bot.settings import ROOT, Settings


def trained_model() -> Path:
    """Return the model the tests use."""
    models = os.environ.get("HANDRAIL_TEST_MODELS")
    return Path(models) / "handrail.tar.gz" if models else model_path(Settings())


def test_rasa_predicts_every_step_of_every_story(tmp_path: Path) -> None:
    stories = tmp_path / "stories"
    stories.mkdir()
    for path in Path(__file__).parent.glob("test_*.yml"):
        shutil.copy(path, stories)
    command = [
        RASA_BIN,
        "test",
        "core",
        "--model",
        trained_model(),
        "--stories",
        stories,
        "--out",
        tmp_path / "results",
    ]
    command += ["--e2e", "--fail-on-prediction-errors", "--no-plot"]
    settings = Settings()
    done = subprocess.run(
        command, cwd=ROOT, env=rasa_environment(settings), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    failed = tmp_path / "results" / "failed_test_stories.yml"
    assert "# None of the test stories failed" in failed.read_text(), failed.read_text()[-3000:]
