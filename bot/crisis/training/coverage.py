"""Reports what the training messages cover, and which are too alike to count twice.

    python -m bot.crisis.training.coverage [--pairs 20]

Two messages are near-duplicates when they share most of their word pairs (Jaccard index of at least NEAR). Exit status
1 when a line is malformed, a message stands twice, or a training message nearly repeats one of the test split.
"""

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.crisis.classifier import LABELS
from bot.crisis.normaliser import fold

FOLDER = Path(__file__).parent
NEAR = 0.6
COMMON = 60  # a word pair in more messages than this says nothing about likeness
_WORD = re.compile(r"[a-z0-9']+")


@dataclass(frozen=True)
class Message:
    """One labelled message and where it stands."""

    text: str
    lang: str
    label: str
    about: str
    kind: str
    place: str  # file:line
    intent: str | None = None  # of an example of the dialogue

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(_WORD.findall(fold(self.text).text)) or (self.text,)


def read_messages(paths: Iterable[Path]) -> list[Message]:
    """Read files of messages, one JSON object a line; raises ValueError naming the place of a bad line."""
    messages = []
    for path in sorted(paths):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            place = f"{path.name}:{number}"
            try:
                row = json.loads(line)
                message = Message(row["text"], row["lang"], row["label"], row["about"], row["kind"], place)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{place}: needs text, lang, label, about and kind ({error})") from error
            if message.label not in LABELS or message.lang not in {"en", "es"}:
                raise ValueError(f"{place}: unknown label {message.label!r} or language {message.lang!r}")
            if message.about not in {"self", "other", "unclear"} or not message.text.strip():
                raise ValueError(f"{place}: unknown about {message.about!r}, or no text")
            messages.append(message)
    return messages


def read_training(folder: Path = FOLDER) -> list[Message]:
    """Read the training messages (not the test split in its own folder)."""
    return read_messages(folder.glob("*.jsonl"))


def read_test(folder: Path = FOLDER) -> list[Message]:
    """Read the test split, written by somebody who wrote none of the training messages, without what both wrote."""
    trained = {message.words for message in read_training(folder)}
    return [message for message in read_messages((folder / "test").glob("*.jsonl")) if message.words not in trained]


def find_near(messages: Sequence[Message]) -> list[tuple[float, int, int]]:
    """Find pairs of near-duplicates: (likeness, index, index), most alike first."""
    pairs = [frozenset(zip(("", *m.words), (*m.words, ""), strict=True)) for m in messages]
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, own in enumerate(pairs):
        for pair in own:
            holders[pair].append(index)
    found = []
    for index, own in enumerate(pairs):
        shared: Counter[int] = Counter()
        for pair in own:
            if len(holders[pair]) <= COMMON:
                shared.update(other for other in holders[pair] if other > index)
        for other in shared:
            likeness = len(own & pairs[other]) / len(own | pairs[other])
            if likeness >= NEAR:
                found.append((likeness, index, other))
    return sorted(found, reverse=True)


def group(messages: Sequence[Message]) -> list[int]:
    """Number every message so that near-duplicates share a number."""
    numbers = list(range(len(messages)))

    def root(index: int) -> int:
        while numbers[index] != index:
            index = numbers[index]
        return index

    for _, one, other in find_near(messages):
        numbers[root(other)] = root(one)
    return [root(index) for index in range(len(messages))]


def report(messages: Sequence[Message], most_pairs: int) -> list[str]:
    """Describe the messages: how many by label, language and about, kinds, lengths, near-duplicates."""
    lines = [f"{len(messages)} messages, {sum(m.lang == 'es' for m in messages)} in Spanish", ""]
    lines.append(f"{'label':18s}{'all':>6s}{'en':>6s}{'es':>6s}{'self':>6s}{'other':>6s}{'unclear':>8s}")
    for label in LABELS:
        own = [m for m in messages if m.label == label]
        by = Counter(m.lang for m in own) + Counter(m.about for m in own)
        lines.append(
            f"{label:18s}{len(own):6d}{by['en']:6d}{by['es']:6d}{by['self']:6d}{by['other']:6d}{by['unclear']:8d}"
        )
    lengths = sorted(len(m.words) for m in messages)
    if lengths:
        tenths = [lengths[len(lengths) * tenth // 10] for tenth in (1, 5, 9)]
        lines += [
            "",
            f"words a message: a tenth up to {tenths[0]}, half up to {tenths[1]}, nine tenths up to {tenths[2]}",
        ]
    kinds = Counter(m.kind for m in messages)
    lines += ["", f"{len(kinds)} kinds: " + ", ".join(f"{kind} {n}" for kind, n in kinds.most_common(40))]
    near = find_near(messages)
    lines += ["", f"{len(near)} pairs of near-duplicates"]
    lines += [f"  {likeness:.2f}  {messages[a].place}  {messages[b].place}" for likeness, a, b in near[:most_pairs]]
    return lines


def find_faults(training: Sequence[Message], test: Sequence[Message]) -> list[str]:
    """Find training messages that stand twice, and test messages a training message nearly repeats."""
    faults = []
    first: dict[tuple[str, ...], Message] = {}
    for message in training:
        known = first.setdefault(message.words, message)
        if known is not message:
            faults.append(f"{message.place} repeats {known.place}")
    both = [*training, *test]
    for _, one, other in find_near(both):
        if one < len(training) <= other and both[one].words != both[other].words:
            faults.append(f"{both[other].place} (test) is nearly {both[one].place}")
    return faults


def main() -> int:
    """Print the report; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10, help="near-duplicates to list")
    args = parser.parse_args()
    try:
        training, test = read_training(), read_test()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    faults = find_faults(training, test)
    print("Training messages\n" + "\n".join(report(training, args.pairs)))
    print("\nTest split\n" + "\n".join(report(test, args.pairs)))
    print("\n" + "\n".join(["Faults:", *faults] if faults else ["No faults."]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
