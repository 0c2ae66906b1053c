"""The documents match the code: settings, columns, commands, paths."""

import json
import re

import pytest
import yaml
from typer.testing import CliRunner

from bot.cli import app
from bot.desk.metrics import Metrics
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


def test_every_alert_watches_a_metric_that_exists() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"]
    watched = {
        name for group in groups for rule in group["rules"] for name in re.findall(r"handrail_\w+", rule["expr"])
    }
    known = {sample.name for metric in Metrics().registry.collect() for sample in metric.samples}
    known |= {f"{metric.name}{ending}" for metric in Metrics().registry.collect() for ending in ("", "_total")}
    assert watched
    assert watched <= known


def test_every_alert_has_its_entry_in_the_runbook_and_no_other() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"]
    runbook = (ROOT / "docs" / "operations.md").read_text().split("\n## Alerts\n")[1].split("\n## ")[0]
    entries = re.split(r"^### (\w+)$", runbook, flags=re.MULTILINE)[1:]
    named = dict(zip(entries[::2], entries[1::2], strict=True))
    assert list(named) == [rule["alert"] for group in groups for rule in group["rules"]]
    assert all(len(text.split()) > 15 for text in named.values())


def test_the_dashboard_shows_metrics_that_exist() -> None:
    shown = json.loads((ROOT / "deploy" / "grafana" / "handrail.json").read_text())
    asked = [target["expr"] for panel in shown["panels"] for target in panel.get("targets", [])]
    metrics = list(Metrics().registry.collect())
    known = {f"{metric.name}{ending}" for metric in metrics for ending in ("", "_total")}
    known |= {f"{metric.name}{ending}" for metric in metrics for ending in ("_bucket", "_count", "_sum")}
    named = {name for expression in asked for name in re.findall(r"handrail_\w+", expression)}
    assert len(named) > 10
    assert named <= known
    labels = {label for metric in (vars(Metrics())).values() for label in getattr(metric, "_labelnames", ())}
    for expression in asked:
        used = re.findall(r"by \((\w+(?:, \w+)*)\)|[{,](\w+)[=!]", expression)
        assert {name for pair in used for each in pair for name in each.split(", ") if name} <= labels | {"le"}
    places = [tuple(panel["gridPos"].values()) for panel in shown["panels"]]
    assert len(places) == len(set(places))


def test_the_licences_list_every_pinned_package() -> None:
    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    app, rasa = (ROOT / "docs" / "licences.md").read_text().split("\n## rasa: ")
    for part, names in ((app, ("app", "test")), (rasa, ("rasa",))):
        listed = {plain(name): version for name, version in re.findall(r"^\| (\S+) \| (\S+) \|", part, re.MULTILINE)}
        for name in names:
            pins = (ROOT / "requirements" / f"{name}.txt").read_text()
            for package, version, marker in re.findall(r"^([\w.-]+)==([^ ;\\]+)( ;.*)?", pins, re.MULTILINE):
                assert listed.get(plain(package)) == version or marker, f"{package} {version}: run `make licences`"


def test_the_threat_model_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "safety.md").read_text()))
    there = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert named
    assert named <= there


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


def test_readme_names_nothing_that_is_not_there() -> None:
    """What a newcomer might type or open: files, modules to run, addresses, pictures and links."""
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in re.findall(r"```\n(.*?)```", text, re.DOTALL):
        for line in block.strip().splitlines():
            assert line.split()[0] == "make", line
            assert line.split()[1] in targets, line
    for name in re.findall(r"`([\w.-]+\.(?:md|yml|toml|py)|LICENSE|Makefile)`", text):
        assert (ROOT / name).exists(), name
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text) + re.findall(r'src="(?!https?:)([^"]+)"', text):
        assert (ROOT / target).exists(), target
    served = {f"/{path.lstrip('/')}" for path in re.findall(r"http://127\.0\.0\.1:8080(/[\w/.-]*)", text)}
    source = "".join((ROOT / "bot" / name).read_text() for name in ("app.py", "channels/pages.py", "channels/web.py"))
    assert served
    assert all(f'"{path}"' in source for path in served), served
    shown = set(re.findall(r"^\| `([^|]+)` \|", text, re.MULTILINE))
    for path in {path for cell in shown for path in re.findall(r"[\w./-]+", cell)}:
        assert (ROOT / path).exists(), path


def test_nothing_committed_names_a_machine_path() -> None:
    pattern = re.compile(r"(?<![\w.])/(?:work|root)/")
    for folder in ("bot", "actions", "content", "data", "deploy", "docs", "benchmarks"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".md", ".yml", ".yaml", ".json", ".jsonl", ".txt", ".conf", ".js", ".html"}:
                assert not pattern.search(path.read_text(errors="replace")), path
