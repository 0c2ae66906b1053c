"""The documents match the code: settings, columns, commands, paths."""

import re

import pytest
from typer.testing import CliRunner

from bot.cli import app
from bot.settings import ROOT, Settings
from bot.store.models import Base


def test_env_example_lists_every_setting_and_no_other() -> None:
    listed = re.findall(r"^#?\s?(HANDRAIL_[A-Z_]+)=", (ROOT / "deploy" / "env.example").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(f"HANDRAIL_{name.upper()}" for name in Settings.model_fields)


def test_env_example_shows_the_defaults() -> None:
    text = (ROOT / "deploy" / "env.example").read_text()
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            shown = re.search(rf"HANDRAIL_{name.upper()}=(\S+)", text)
            assert shown is not None
            assert float(shown[1]) == field.default, name


def test_privacy_lists_every_column_and_no_other() -> None:
    text = (ROOT / "docs" / "privacy.md").read_text()
    listed = set(re.findall(r"^\| `(\w+\.\w+)` \|", text, re.MULTILINE))
    assert listed == {
        f"{table.name}.{column.name}" for table in Base.metadata.tables.values() for column in table.columns
    }


def test_no_column_is_meant_for_a_clinical_decision() -> None:
    clinical = re.compile(r"diagnos|dose|dosage|taper|severity|risk|score|symptom|prescri|condition|withdrawal_scale")
    for table in Base.metadata.tables.values():
        for column in table.columns:
            assert not clinical.search(column.name), f"{table.name}.{column.name}"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/operations.md"])
def test_every_path_and_command_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    for path in re.findall(
        r"`((?:bot|actions|data|content|tests|docs|deploy|benchmarks|requirements)/[\w./*-]*)`", text
    ):
        assert list(ROOT.glob(path.rstrip("/"))), f"{document} names {path}"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"`make ([a-z-]+)", text):
        assert target in targets, f"{document} names make {target}"
    for words in re.findall(r"`(?:\.venv/app/bin/)?handrail ([a-z]+(?: [a-z]+)?)", text):
        result = CliRunner().invoke(app, [*words.split(), "--help"])
        one = CliRunner().invoke(app, [words.split()[0], "--help"])
        assert result.exit_code == 0 or one.exit_code == 0, f"{document} names handrail {words}"
    for name in re.findall(r"\b(HANDRAIL_[A-Z_]+)\b", text):
        known = {f"HANDRAIL_{field.upper()}" for field in Settings.model_fields} | {"HANDRAIL_TEST_POSTGRES_URL"}
        assert name in known, f"{document} names {name}"


def test_nothing_committed_names_a_machine_path() -> None:
    pattern = re.compile(r"(?<![\w.])/(?:work|root)/")
    for folder in ("bot", "actions", "content", "data", "deploy", "docs", "benchmarks"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".md", ".yml", ".yaml", ".json", ".jsonl", ".txt", ".conf", ".js", ".html"}:
                assert not pattern.search(path.read_text(errors="replace")), path
