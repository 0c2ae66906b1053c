"""Measures what Rasa understands; writes benchmarks/results/intents.md with the confusions.

    .venv/app/bin/python -m benchmarks.intents                    # the trained model on tests/dialogue/nlu_test.yml
    .venv/app/bin/python -m benchmarks.intents --cross-validate   # and five-fold cross-validation, about half an hour

The test messages were written by somebody who read none of the training examples; those that stand word for word among
the examples all the same are left out. The peer is the pipeline without the encoder's opinion, trained in the same run.
`rasa test` looks behind a fallback and counts the intent that would have been heard. So what is answered with "I did
not understand", and what of that would have been right, stand in rows of their own.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from benchmarks.results import write_result
from bot.processes import RASA_BIN, model_path, rasa_environment
from bot.settings import ROOT, Settings

TEST = ROOT / "tests" / "dialogue" / "nlu_test.yml"
ENTITY = re.compile(r"\[([^\]]*)\](\([^)]*\)|\{[^}]*\})")
SHOWN_CONFUSIONS = 30
FALLBACK = next(
    part["threshold"]
    for part in yaml.safe_load((ROOT / "config.yml").read_text(encoding="utf-8"))["pipeline"]
    if part["name"] == "FallbackClassifier"
)


def fold(text: str) -> str:
    """Return what two texts must share to count as the same words."""
    return ENTITY.sub(r"\1", text).lower().strip("¿?¡!. ")


def read(paths: list[Path]) -> list[tuple[str, str, str]]:
    """Return text, intent and language ("" where the file does not say) of every example."""
    found = []
    for path in paths:
        for section in yaml.safe_load(path.read_text(encoding="utf-8"))["nlu"]:
            if "intent" in section:
                language = (section.get("metadata") or {}).get("language", "")
                for line in section["examples"].splitlines():
                    if text := line.removeprefix("- ").strip():
                        found.append((text, section["intent"], language))
    return found


def write_examples(path: Path, examples: list[tuple[str, str, str]]) -> None:
    by_intent: dict[str, list[str]] = {}
    for text, intent, _ in examples:
        by_intent.setdefault(intent, []).append(text)
    sections = [{"intent": name, "examples": "".join(f"- {t}\n" for t in texts)} for name, texts in by_intent.items()]
    path.write_text(yaml.safe_dump({"version": "3.1", "nlu": sections}, allow_unicode=True, width=10_000))


def rasa(*arguments: str | Path) -> None:
    command = [str(RASA_BIN), *map(str, arguments)]
    subprocess.run(command, cwd=ROOT, env=rasa_environment(Settings()), check=True, stdout=subprocess.DEVNULL)


def evaluate(model: Path, examples: list[tuple[str, str, str]], out: Path) -> dict[str, Any]:
    """Return accuracy, macro-F1, recalls and confusions of a model on examples."""
    write_examples(out / "test.yml", examples)
    rasa("test", "nlu", "--nlu", out / "test.yml", "--model", model, "--out", out, "--no-plot", "--successes")
    wrong_ones, right_ones = _json(out / "intent_errors.json"), _json(out / "intent_successes.json")
    errors = [(e["intent"], e["intent_prediction"]["name"], fold(e["text"])) for e in wrong_ones]
    unsure = [[e["intent_prediction"]["confidence"] < FALLBACK for e in each] for each in (wrong_ones, right_ones)]
    wrong = {(intent, text): said for intent, said, text in errors}

    def share(chosen: list[tuple[str, str, str]], right: Any) -> float:
        return sum(right(i, wrong.get((i, fold(t)), i)) for t, i, _ in chosen) / len(chosen)

    def same(intent: str, said: str) -> bool:
        return intent == said

    clinical = [e for e in examples if e[1].startswith("clinical_")]
    human = [e for e in examples if e[1] == "request_counselor"]
    others = [e for e in examples if not e[1].startswith("clinical_")]
    return {
        "accuracy": share(examples, same),
        "english": share([e for e in examples if e[2] == "en"], same),
        "spanish": share([e for e in examples if e[2] == "es"], same),
        "macro-F1": _json(out / "intent_report.json")["macro avg"]["f1-score"],
        "clinical refused": share(clinical, lambda _, said: said.startswith("clinical_")),
        "others refused": share(others, lambda _, said: said.startswith("clinical_")),
        "human heard": share(human, same),
        "not understood": sum(map(sum, unsure)) / len(examples),
        "not understood, and right": sum(unsure[1]) / len(examples),
        "confusions": Counter((intent, said) for intent, said, _ in errors),
    }


def without_encoder(out: Path) -> Path:
    """Train and return the peer: the same pipeline without the encoder's opinion."""
    config = yaml.safe_load((ROOT / "config.yml").read_text(encoding="utf-8"))
    config["pipeline"] = [part for part in config["pipeline"] if "EncoderOpinion" not in part["name"]]
    (out / "config.yml").write_text(yaml.safe_dump(config))
    rasa(
        "train", "nlu", "--config", out / "config.yml", "--nlu", "data/nlu", "--out", out, "--fixed-model-name", "peer"
    )
    return out / "peer.tar.gz"


def cross_validate(out: Path) -> tuple[float, float]:
    """Return accuracy and macro-F1 of five-fold cross-validation on data/nlu."""
    rasa("test", "nlu", "--nlu", "data/nlu", "--config", "config.yml", "--cross-validation", "--folds", "5",
         "--out", out, "--no-plot")  # fmt: skip
    report = _json(out / "intent_report.json")
    return report["accuracy"], report["macro avg"]["f1-score"]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cross-validate", action="store_true")
    args = parser.parse_args()
    known = {fold(text) for text, _, _ in read(sorted((ROOT / "data" / "nlu").glob("*.yml")))}
    examples = read([TEST])
    fresh = [example for example in examples if fold(example[0]) not in known]
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / name for name in ("peer", "own", "folds")]
        for folder in folders:
            folder.mkdir()
        peer = evaluate(without_encoder(folders[0]), fresh, folders[0])
        own = evaluate(model_path(Settings()), fresh, folders[1])
        folds = cross_validate(folders[2]) if args.cross_validate else None
    bars = {"accuracy": "0.88", "clinical refused": "0.97", "human heard": "0.97"}
    names = [name for name in own if name != "confusions"]
    rows = [[name, f"{own[name]:.3f}", f"{peer[name]:.3f}", bars.get(name, "")] for name in names]
    if folds:
        rows += [
            ["cross-validated accuracy", f"{folds[0]:.3f}", "", ""],
            ["cross-validated macro-F1", f"{folds[1]:.3f}", "", "0.92"],
        ]
    confused = "\n".join(f"| {a} | {b} | {n} |" for (a, b), n in own["confusions"].most_common(SHOWN_CONFUSIONS))
    write_result(
        "intents",
        "What Rasa understands of messages another author wrote",
        ["", "Handrail", "without the encoder", "bar"],
        rows,
        f"{len(fresh)} messages; {len(examples) - len(fresh)} more stand word for word among the examples and are left "
        f"out.\n\nWhat is taken for what most often:\n\n| meant | heard | times |\n| --- | --- | --- |\n{confused}",
    )


if __name__ == "__main__":
    main()
