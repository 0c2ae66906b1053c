"""Measures what Rasa understands; writes benchmarks/results/intents.md with the confusions.

    .venv/app/bin/python -m benchmarks.intents    # the trained model on tests/dialogue/nlu_test.yml
    .venv/app/bin/python -m benchmarks.intents --cross-validate PYTHON    # and five folds of data/nlu, about 80 minutes

The test messages were written by somebody who read none of the training examples; those that stand word for word among
the examples all the same are left out. The peer is the pipeline without the encoder's opinion, trained in the same run.
`rasa test` looks behind a fallback and counts the intent that would have been heard. So what is answered with "I did
not understand", and what of that would have been right, stand in rows of their own.

PYTHON is one with torch and requirements/training.in. The shipped encoder has learnt from every example of data/nlu, so
each fold trains its own, from the public weights, on the examples of the other folds and on nothing else: no message of
the guard. That encoder is weaker than the shipped one.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import zlib
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from benchmarks.results import write_result
from bot.processes import RASA_BIN, model_path, rasa_environment
from bot.settings import ROOT, Settings

EXAMPLES = ROOT / "data" / "nlu"
FOLDS = 5
EPOCHS = 3  # of a fold's own encoder
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
        return float(sum(right(i, wrong.get((i, fold(t)), i)) for t, i, _ in chosen)) / max(1, len(chosen))

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


def train(out: Path, examples: Path, encoder: Path | None) -> Path:
    """Train config.yml's pipeline on a folder of examples; the encoder's opinion from a folder, or without it."""
    config = yaml.safe_load((ROOT / "config.yml").read_text(encoding="utf-8"))
    if encoder is None:
        config["pipeline"] = [part for part in config["pipeline"] if "EncoderOpinion" not in part["name"]]
    for part in config["pipeline"]:
        if "EncoderOpinion" in part["name"]:
            part["folder"] = str(encoder)
    (out / "config.yml").write_text(yaml.safe_dump(config))
    rasa("train", "nlu", "--config", out / "config.yml", "--nlu", examples, "--out", out, "--fixed-model-name", "model")
    return out / "model.tar.gz"


def leave_out(fold_number: int, out: Path) -> list[tuple[str, str, str]]:
    """Copy data/nlu without one example in FOLDS, the same words staying together; return those left out."""
    left: list[tuple[str, str, str]] = []
    out.mkdir()
    for path in sorted(EXAMPLES.glob("*.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for section in content["nlu"]:
            if "intent" in section:
                lines = section["examples"].splitlines(keepends=True)
                gone = [line for line in lines if zlib.crc32(fold(line[2:].strip()).encode()) % FOLDS == fold_number]
                section["examples"] = "".join(line for line in lines if line not in gone)
                left += [(line[2:].strip(), section["intent"], "") for line in gone]
        (out / path.name).write_text(yaml.safe_dump(content, allow_unicode=True, width=10_000), encoding="utf-8")
    return left


def cross_validate(python: str, folds: int, out: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Return accuracy and macro-F1, the mean of the folds, with the encoder each fold trains and without."""
    found: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for number in range(folds):
        scratch = out / str(number)
        scratch.mkdir()
        left = leave_out(number, scratch / "nlu")
        command = [python, "-m", "bot.crisis.training.train", "--dialogue", str(scratch / "nlu"), "--limit", "0",
                   "--out", str(scratch / "encoder"), "--seeds", "1", "--epochs", str(EPOCHS), "--rate", "3e-4",
                   "--intent-share", "2", "--batch", "64"]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        for each, encoder in zip(found, (scratch / "encoder", None), strict=True):
            folder = scratch / ("with" if encoder else "without")
            folder.mkdir()
            each.append(evaluate(train(folder, scratch / "nlu", encoder), left, folder))
            print(number, each[-1]["accuracy"], each[-1]["macro-F1"], flush=True)
    own, peer = ({name: mean(one[name] for one in each) for name in ("accuracy", "macro-F1")} for each in found)
    return own, peer


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cross-validate", metavar="PYTHON")
    parser.add_argument("--folds", type=int, default=FOLDS, help=f"how many of the {FOLDS} are measured")
    args = parser.parse_args()
    known = {fold(text) for text, _, _ in read(sorted(EXAMPLES.glob("*.yml")))}
    examples = read([TEST])
    fresh = [example for example in examples if fold(example[0]) not in known]
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / name for name in ("peer", "own", "folds")]
        for folder in folders:
            folder.mkdir()
        peer = evaluate(train(folders[0], EXAMPLES, None), fresh, folders[0])
        own = evaluate(model_path(Settings()), fresh, folders[1])
        folds = cross_validate(args.cross_validate, args.folds, folders[2]) if args.cross_validate else None
    bars = {"accuracy": "0.88", "clinical refused": "0.97", "human heard": "0.97"}
    names = [name for name in own if name != "confusions"]
    rows = [[name, f"{own[name]:.3f}", f"{peer[name]:.3f}", bars.get(name, "")] for name in names]
    if folds:
        for name, bar in (("accuracy", ""), ("macro-F1", "0.92")):
            rows.append(
                [
                    f"cross-validated {name}, {args.folds} of {FOLDS} folds",
                    *(f"{each[name]:.3f}" for each in folds),
                    bar,
                ]
            )
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
