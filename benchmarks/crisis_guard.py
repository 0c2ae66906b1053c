"""Measures the crisis guard beside a keyword list and a linear model; writes benchmarks/results/crisis-guard.md.

    python -m benchmarks.crisis_guard [--dev ../shared/eval/crisis_dev.jsonl] [--frozen FOLDER] [--diet]

The own test split was written by somebody who wrote none of the training messages. The linear model's row needs
scikit-learn (requirements/training.in) and is left out without it; --frozen names what
`train.py --epochs 0 --out FOLDER` made, the encoder as it comes with a fitted head; --diet trains stock Rasa's DIET for
one epoch (its speed does not depend on what it learnt) and times it on the same messages. Rates carry 95 % Wilson
intervals. Each figure is the share of messages that get a crisis card: recall for crises, false alarms for the others.
"""

import argparse
import json
import math
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.stock import DEFAULT_CONFIG
from bot.crisis import CATEGORIES, Guard
from bot.crisis.classifier import MODEL_FOLDER, Classifier, prepare
from bot.crisis.guard import RULES_FOLDER
from bot.crisis.normaliser import fold
from bot.crisis.rules import Rulebook
from bot.crisis.training.coverage import Message, read_test, read_training
from bot.processes import RASA_BIN, rasa_environment
from bot.settings import ROOT, Settings

RESULTS = Path(__file__).parent / "results" / "crisis-guard.md"
STRICT_KINDS = ("coping", "clinical", "human_request")  # at most 3 % false alarms; other near misses at most 5 %
CHAT_MESSAGES = 20
CHATS = 100
SPEED_ROUNDS = 2
Flag = Callable[[str, str], bool]

# What a usual keyword list holds: the words people think of first.
KEYWORDS = re.compile(
    r"\b(suicid\w*|kill (myself|me)|end my life|end it all|take my (own )?life|want to die|wanna die|better off dead"
    r"|don'?t want to (live|be alive)|self[- ]?harm\w*|cut(ting)? myself|hurt(ing)? myself|burn(ing)? myself"
    r"|overdos\w*|od'?d|took too many|not breathing|unconscious|unresponsive|withdrawal seizure|delirium tremens"
    r"|hallucinat\w*|hearing voices|seizures?|domestic violence|he hits me|beats me|abus(ed|ing|ive)|rap(e|ed|ist)"
    r"|kill (him|her|them|you|someone|everyone)|shoot (him|her|them|everyone|up)|stab (him|her|them|someone)"
    r"|child abuse|hit(s|ting)? (the|my) (kid|child|baby)\w*|suicid[ao]\w*|suicidarme|matarme|quitarme la vida"
    r"|quiero morir(me)?|no quiero vivir|cortarme|lastimarme|hacerme dano|sobredosis|no respira|inconsciente"
    r"|convulsion\w*|escucho voces|me pega|me golpea|abus[oa] sexual|violacion|matarl[oa]s?)\b"
)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Give the 95 % interval of a share."""
    if n == 0:
        return 0.0, 1.0
    z, p = 1.96, hits / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def show(flags: Iterable[bool]) -> str:
    """Write a share with its interval."""
    found = list(flags)
    low, high = wilson(sum(found), len(found))
    return f"{sum(found) / len(found):.3f} [{low:.3f}, {high:.3f}]" if found else "-"


def make_linear(training: Sequence[Message]) -> Flag | None:
    """Fit character and word n-grams with logistic regression; None without scikit-learn."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union
    except ImportError:
        return None
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=3, max_features=60_000)
    model = make_pipeline(make_union(letters, words), LogisticRegression(C=6, max_iter=200, tol=1e-3))
    model.fit([prepare(m.text) for m in training], [m.label for m in training])
    crises = [index for index, label in enumerate(model.classes_) if label in CATEGORIES]
    return lambda text, lang: float(model.predict_proba([prepare(text)])[0, crises].sum()) >= 0.5


def make_flag(guard: Guard) -> Flag:
    return lambda text, lang: guard.assess(text, lang).category is not None


def table(systems: dict[str, Flag], rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> list[str]:
    """Write a Markdown table: a row of texts with the share each system flags."""
    lines = ["| | n | " + " | ".join(systems) + " |", "|---|---|" + "---|" * len(systems)]
    for name, texts in rows:
        cells = [show(flag(text, lang) for text, lang in texts) for flag in systems.values()]
        lines.append(f"| {name} | {len(texts)} | " + " | ".join(cells) + " |")
    return lines


def own_rows(test: Sequence[Message]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Group the test split: a row a category, then near misses by kind."""

    def pick(wanted: Callable[[Message], bool]) -> list[tuple[str, str]]:
        return [(m.text, m.lang) for m in test if wanted(m)]

    rows = [(f"recall: {name}", pick(lambda m, name=name: m.label == name)) for name in CATEGORIES]  # type: ignore[misc]
    rows += [(f"recall: all in {lang}", pick(lambda m, lang=lang: m.label in CATEGORIES and m.lang == lang))  # type: ignore[misc]
             for lang in ("en", "es")]  # fmt: skip
    kinds = sorted({m.kind for m in test if m.label == "none"}, key=lambda kind: (kind not in STRICT_KINDS, kind))
    rows += [(f"false alarms: {kind}", pick(lambda m, kind=kind: m.label == "none" and m.kind == kind))  # type: ignore[misc]
             for kind in kinds]  # fmt: skip
    others = pick(lambda m: m.label == "none" and m.kind not in STRICT_KINDS)
    rows.append(("false alarms: all but " + ", ".join(STRICT_KINDS), others))
    rows.append(("cards for concern (neither right nor wrong)", pick(lambda m: m.label == "concern")))
    return rows


def dev_rows(path: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """Group the shared development set, which is measured and never copied."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    names = {"crisis": "recall", "not_crisis": "false alarms"}
    found = []
    for label, name in names.items():
        for part in sorted({row["group"] for row in rows if row["label"] == label}):
            texts = [(r["text"], r.get("lang", "en")) for r in rows if r["label"] == label and r["group"] == part]
            found.append((f"{name}: {part}", texts))
    return found


def encoder_alone(folder: Path) -> Flag:
    """Return the encoder of a model folder without the n-grams beside it, at a threshold of 0.5."""
    classifier = Classifier.load(folder)
    classifier._wording = _Mute()  # type: ignore[assignment]
    return lambda text, lang: classifier.score([prepare(text) or "."])[0].crisis >= 0.5


def measure_diet(texts: Sequence[str]) -> float:
    """Train stock Rasa's default pipeline on data/nlu and time its parse: p50 in milliseconds."""
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "config.yml"
        config.write_text(DEFAULT_CONFIG.format(epochs=1))
        command = [str(RASA_BIN), "train", "nlu", "--config", str(config), "--nlu", "data/nlu", "--out", scratch]
        environment = rasa_environment(Settings())
        command += ["--fixed-model-name", "diet"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        code = (
            "import asyncio, json, sys, time\nfrom rasa.core.agent import Agent\n"
            "agent = Agent.load(sys.argv[1]); taken = []\n"
            "async def run():\n"
            "    for text in json.load(sys.stdin):\n"
            "        began = time.perf_counter(); await agent.parse_message(text)\n"
            "        taken.append((time.perf_counter() - began) * 1000)\n"
            "asyncio.run(run()); taken.sort(); print(taken[len(taken) // 2])"
        )
        run = subprocess.run(
            [str(RASA_BIN.parent / "python"), "-c", code, str(Path(scratch) / "diet.tar.gz")],
            input=json.dumps(list(texts)), capture_output=True, text=True, check=True, env=environment,
        )  # fmt: skip
        return float(run.stdout.split()[-1])


def curve(classifier: Classifier, test: Sequence[Message], dev: Path | None) -> list[str]:
    """Write recall and false alarms of the classifier alone at several thresholds."""
    own = [(m.label in CATEGORIES, m.label != "concern", m.text) for m in test]
    sets = {"own test": [(crisis, text) for crisis, counts, text in own if counts]}
    if dev:
        rows = [json.loads(line) for line in dev.read_text(encoding="utf-8").splitlines() if line.strip()]
        sets["shared set"] = [
            (r["label"] == "crisis", r["text"]) for r in rows if r["label"] in ("crisis", "not_crisis")
        ]
    scores = {
        name: [(crisis, classifier.score([prepare(text) or "."])[0].crisis) for crisis, text in texts]
        for name, texts in sets.items()
    }
    lines = ["| threshold | " + " | ".join(f"{name}: recall | {name}: false alarms" for name in sets) + " |"]
    lines.append("|---|" + "---|---|" * len(sets))
    for threshold in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        cells = []
        for found in scores.values():
            for wanted in (True, False):
                flags = [score >= threshold for crisis, score in found if crisis is wanted]
                cells.append(f"{sum(flags) / len(flags):.3f}")
        mark = " (in use)" if math.isclose(threshold, classifier.threshold, abs_tol=0.049) else ""
        lines.append(f"| {threshold:.1f}{mark} | " + " | ".join(cells) + " |")
    return lines


def alarmed_chats(guard: Guard, pool: Sequence[Message], luck: random.Random) -> tuple[int, int]:
    """Count simulated chats without any crisis that get at least one card, the texts before each one included."""
    alarmed = 0
    for _ in range(CHATS):
        texts = [message.text for message in luck.sample(pool, CHAT_MESSAGES)]
        alarmed += any(
            guard.assess(text, None, texts[max(0, at - 2) : at]).category is not None for at, text in enumerate(texts)
        )
    return alarmed, CHATS


def measure_speed(guard: Guard, texts: Sequence[str]) -> tuple[float, float]:
    """Time single messages of up to 200 characters; p50 and p99 in milliseconds."""
    short = [text for text in texts if len(text) <= 200]
    taken = []
    for _ in range(SPEED_ROUNDS):
        for text in short:
            began = time.perf_counter()
            guard.assess(text, None)
            taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    return taken[len(taken) // 2], taken[len(taken) * 99 // 100]


def measure_start() -> dict[str, float]:
    """Load rules, then the classifier, in a fresh process: seconds until each is ready, and megabytes at its peak.

    In the desk's own environment: the one this runs in may hold torch, which spaCy imports when it is there. The peak
    is the process's own: what getrusage gives begins with its parent's.
    """
    code = (
        "import json, pathlib, re, time; began = time.monotonic()\n"
        "from bot.crisis.guard import RULES_FOLDER, Guard\nfrom bot.crisis.rules import Rulebook\n"
        "rules = Rulebook.load(RULES_FOLDER); first = time.monotonic() - began\n"
        "from bot.crisis.classifier import Classifier\n"
        "guard = Guard(rules, Classifier.load()); last = time.monotonic() - began; guard.assess('hello there', 'en')\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())\n"
        "print(json.dumps([first, last, int(peak[1]) / 1024]))"
    )
    desk = ROOT / ".venv" / "app" / "bin" / "python"
    run = subprocess.run(
        [desk if desk.exists() else sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    first, last, megabytes = json.loads(run.stdout)
    return {"rules": first, "all": last, "megabytes": megabytes}


def main() -> None:
    """Measure everything and write the results; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", type=Path, default=Path("../shared/eval/crisis_dev.jsonl"), help="the shared set")
    parser.add_argument("--diet", action="store_true", help="time stock Rasa's DIET beside the guard (some minutes)")
    parser.add_argument("--frozen", type=Path, help="a model folder of the encoder as it comes, with a fitted head")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    dev = args.dev if args.dev.is_file() else None
    start = measure_start()
    rulebook, classifier = Rulebook.load(RULES_FOLDER), Classifier.load()
    guard, test = Guard(rulebook, classifier), read_test()
    systems: dict[str, Flag] = {"keyword list": lambda text, lang: bool(KEYWORDS.search(fold(text).text))}
    linear = make_linear(read_training())
    if linear:
        systems["TF-IDF + linear"] = linear
    if args.frozen:
        systems["frozen encoder + head"] = encoder_alone(args.frozen)
    systems["fine-tuned encoder"] = encoder_alone(MODEL_FOLDER)
    systems |= {"rules alone": make_flag(Guard(rulebook)), "classifier alone": make_flag(Guard(_NoRules(), classifier))}  # type: ignore[arg-type]
    systems["guard"] = make_flag(guard)
    middle, slow = measure_speed(guard, [m.text for m in test])
    luck = random.Random(1)
    ordinary = [m for m in test if m.label == "none" and m.kind in (*STRICT_KINDS, "everyday", "question")]
    near = [m for m in test if m.label == "none"]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    lines = [
        "# The crisis guard, measured",
        "",
        f"Written by `python -m benchmarks.crisis_guard` at commit {commit.stdout.strip() or 'unknown'}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; model file "
        f"{(MODEL_FOLDER / 'model.onnx').stat().st_size / 1e6:.1f} MB.",
        "Each figure is the share of messages that get a crisis card, with its 95 % Wilson interval.",
        "",
        "## Own test split",
        "",
        *table(systems, own_rows(test)),
        "",
    ]
    if dev:
        lines += ["## Shared development set", "", *table(systems, dev_rows(dev)), ""]
    lines += ["## Threshold of the classifier alone", "", *curve(classifier, test, dev), ""]
    lines += [f"## Chats of {CHAT_MESSAGES} messages without a crisis", ""]
    for name, pool in (("ordinary messages and questions", ordinary), ("near misses only", near)):
        alarmed, chats = alarmed_chats(guard, pool, luck)
        low, high = wilson(alarmed, chats)
        share = f"{100 * alarmed / chats:.0f} of 100 chats [{100 * low:.0f}, {100 * high:.0f}] get at least one card"
        lines.append(f"- {name}: {share}")
    lines += [
        "",
        "## Speed",
        "",
        f"- one message up to 200 characters, one thread: p50 {middle:.1f} ms, p99 {slow:.1f} ms",
    ]
    if args.diet:
        diet_ms = measure_diet([m.text for m in test if len(m.text) <= 200][:500])
        lines.append(f"- stock Rasa's DIET parse in the same run: p50 {diet_ms:.1f} ms; the guard takes "
                     f"{middle / diet_ms:.2f} of it")  # fmt: skip
    lines.append(f"- rules ready after {start['rules']:.1f} s, all after {start['all']:.1f} s; "
                 f"at most {start['megabytes']:.0f} MB resident")  # fmt: skip
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


class _Mute:
    def score(self, prepared: str) -> float:
        return 0.0


class _NoRules:
    def find(self, text: str, recent: Sequence[str] = ()) -> list:
        return []


if __name__ == "__main__":
    main()
