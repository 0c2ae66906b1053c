"""The statistical classifier: a small fine-tuned encoder, and n-grams beside it, hear what no rule spells out.

    classifier = Classifier.load()                    # raises bot.errors.GuardError; no I/O afterwards
    classifier.classify(text, recent) -> list[Finding]   # at most one finding: a category of CATEGORIES or "concern"

`classify` keeps no state, is safe to call from several threads and answers in bounded time: a long text is read
through at most MOST_WINDOWS windows. `recent` are the texts sent before, oldest first; short ones are joined with the
text when the parts say nothing alone, so that a disclosure split over three messages is heard. The figures behind the
thresholds are in model/README.md, the training in training/train.py.
"""

import json
import math
import re
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy

from bot.crisis.decision import CATEGORIES, Finding
from bot.crisis.normaliser import fold
from bot.errors import GuardError

MODEL_FOLDER = Path(__file__).parent / "model"
LABELS = (*CATEGORIES, "concern", "none")
ABOUT = ("self", "other")
LONGEST_TEXT = 8_000  # characters; of a longer text the first and the last half are read
WINDOW_TOKENS = 96
MOST_WINDOWS = 8
JOINED_WORDS = 30  # more words than this are no split disclosure: each part speaks for itself
# Log-odds of the n-grams below which joined texts are not shown to the encoder: half of its work for most messages. All
# crises cut in three that were found joined and in no part had -3 or more (model/README.md has the figures).
UNLIKELY = -4.0
# A word or two the encoder never learnt tell it little ("tonight", "my life"), so that it must be surer: by number of
# words. Of 58 such crises in our own messages two are lost by it; the rules know the words that say it all.
BRIEF = {1: 0.89, 2: 0.55}
MOST_SENTENCES = 8  # looked at one by one to find the evidence of a found crisis
WORDING_SHARE = 0.3  # of the n-grams in the log-odds; model/README.md compares 0, 0.3 and 0.5
PLACES = 2**16  # of each kind of n-gram, words and letters
_WORD = re.compile(r"[a-z0-9']+")
_SENTENCE = re.compile(r"[^.!?\n]*[^\s.!?][^.!?\n]*[.!?]*")
_SPACE = re.compile(r"\s+")
_LOUD = re.compile(r"(.)\1{2,}")


def prepare(text: str) -> str:
    """Make a text as plain as the texts the model was trained on."""
    if len(text) > LONGEST_TEXT:
        text = text[: LONGEST_TEXT // 2] + " " + text[-LONGEST_TEXT // 2 :]
    return _LOUD.sub(r"\1\1", _SPACE.sub(" ", fold(text).text)).strip()


def hash_ngrams(prepared: str) -> tuple[list[int], list[int]]:
    """Number the one- and two-word sequences of a text, and the two to four letters inside its words."""
    words = _WORD.findall(prepared)
    sequences = {*words, *map(" ".join, pairwise(words))}
    padded = [f" {word[:60]} " for word in words]
    letters = {word[at : at + n] for word in padded for n in (2, 3, 4) for at in range(max(1, len(word) - n + 1))}
    return (
        sorted({zlib.crc32(part.encode()) % PLACES for part in sequences}),
        sorted({PLACES + zlib.crc32(part.encode()) % PLACES for part in letters}),
    )


class Wording:
    """A linear model over hashed n-grams; it knows spellings and Spanish better than the English-centred encoder."""

    def __init__(self, path: Path) -> None:
        with numpy.load(path) as stored:
            self._rarity, self._weight = stored["rarity"].astype("float32"), stored["weight"].astype("float32")
            self._bias = float(stored["bias"][0])

    def score(self, prepared: str) -> float:
        """Give the log-odds of a crisis."""
        total = self._bias
        for places in hash_ngrams(prepared):
            length = float(numpy.linalg.norm(self._rarity[places]))
            total += float(self._weight[places].sum()) / length if length else 0.0
        return total


class Classifier:
    """Tells crises from everything else; load it with `Classifier.load()`."""

    def __init__(
        self, session: Any, tokenizer: Any, wording: Wording, ends: tuple[int, int], thresholds: dict[str, float]
    ) -> None:
        self._session, self._tokenizer, self._wording = session, tokenizer, wording
        self._crisis, self._joined = thresholds["crisis"], thresholds["joined"]
        self._concern = thresholds["concern"]
        self._first, self._last = ends

    @property
    def threshold(self) -> float:
        """From this probability on a single text counts as a crisis."""
        return self._crisis

    @classmethod
    def load(cls, folder: Path = MODEL_FOLDER) -> "Classifier":
        """Read model, tokenizer and thresholds of a folder and try them once; raises GuardError."""
        try:
            import onnxruntime
            from tokenizers import Tokenizer

            settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
            if tuple(settings["labels"]) != LABELS:
                raise ValueError("the labels differ from this version's")
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.enable_cpu_mem_arena = False
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            ends = settings["first"], settings["last"]
            loaded = cls(session, tokenizer, Wording(folder / "words.npz"), ends, settings["thresholds"])
            loaded.classify("warm up")
        except Exception as error:  # a damaged file can raise nearly anything
            raise GuardError(
                f"the crisis model in {folder.name}/ cannot be used ({type(error).__name__}): install Handrail again "
                "or run bot/crisis/training/train.py"
            ) from error
        return loaded

    def classify(self, text: str, recent: Sequence[str] = ()) -> list[Finding]:
        """Judge a text alone, and joined with the texts before it when it may only end what they began."""
        alone = prepare(text)
        if not alone:
            return []
        (own,) = self.score([alone])
        if own.crisis >= max(self._crisis, BRIEF.get(len(alone.split()), 0.0)):
            return [Finding(own.category, own.about, "classifier", self._evidence(text))]
        joined, before = self._join(alone, recent)
        if joined and self._wording.score(joined) >= UNLIKELY:
            (whole,) = self.score([joined])
            if whole.crisis >= self._joined and self.score([before])[0].crisis < self._crisis:
                return [Finding(whole.category, whole.about, "classifier", None)]
        if own.concern >= self._concern:
            return [Finding("concern", own.about, "classifier", (0, len(text)))]
        return []

    def score(self, texts: Sequence[str]) -> "list[Score]":
        """Score prepared texts; a long one is as dangerous as its most dangerous window."""
        pieces: list[list[int]] = []
        owners: list[int] = []
        for owner, encoding in enumerate(self._tokenizer.encode_batch(list(texts), add_special_tokens=False)):
            for window in _windows(encoding.ids):
                pieces.append([self._first, *window, self._last])
                owners.append(owner)
        width = max(map(len, pieces))
        ids = numpy.zeros((len(pieces), width), dtype=numpy.int64)
        mask = numpy.zeros((len(pieces), width), dtype=numpy.int64)
        for row, piece in enumerate(pieces):
            ids[row, : len(piece)], mask[row, : len(piece)] = piece, 1
        (logits,) = self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
        best: list[Score | None] = [None] * len(texts)
        for owner, row in zip(owners, logits.astype(numpy.float64), strict=True):
            score, held = Score(row), best[owner]
            if held is None or score.crisis > held.crisis:
                best[owner] = score
        found = [score for score in best if score is not None]
        for owner, score in enumerate(found):
            if owners.count(owner) == 1:  # in a long text the n-grams drown
                score.blend(self._wording.score(texts[owner]))
        return found

    def _join(self, alone: str, recent: Sequence[str]) -> tuple[str, str]:
        """Return the recent texts with this one, and without it; empty when together they are no split disclosure.

        The same text said again adds nothing, and is left out.
        """
        said = dict.fromkeys(prepare(text) for text in recent)
        before = " ".join(text for text in said if text and text != alone)
        joined = f"{before} {alone}"
        if not before or len(joined.split()) > JOINED_WORDS:
            return "", ""
        return joined, before

    def _evidence(self, text: str) -> tuple[int, int]:
        """Find the sentence that sounds most dangerous; the whole text when there is one, or far too many."""
        spans = [found.span() for found in _SENTENCE.finditer(text[:LONGEST_TEXT])]
        if not 1 < len(spans) <= MOST_SENTENCES or len(text) > LONGEST_TEXT:
            return 0, len(text)
        plain = [(span, prepare(text[slice(*span)])) for span in spans]
        kept = [(span, sentence) for span, sentence in plain if sentence]
        if not kept:
            return 0, len(text)
        scores = self.score([sentence for _, sentence in kept])
        start, end = kept[max(range(len(kept)), key=lambda index: scores[index].crisis)][0]
        return start + len(text[start:end]) - len(text[start:end].lstrip()), end


class Score:
    """What the model says of one text; probabilities live only as long as the decision and are stored nowhere."""

    __slots__ = ("about", "category", "concern", "crisis")

    def __init__(self, logits: "numpy.ndarray[Any, numpy.dtype[numpy.float64]]") -> None:
        labels = numpy.exp(logits[: len(LABELS)] - logits[: len(LABELS)].max())
        labels /= labels.sum()
        crises = labels[: len(CATEGORIES)]
        self.crisis = float(crises.sum())
        self.concern = self.crisis + float(labels[LABELS.index("concern")])
        self.category = CATEGORIES[int(crises.argmax())]
        self.about = ABOUT[int(logits[len(LABELS) :].argmax())]

    def blend(self, other: float) -> None:
        """Take the log-odds of another model into account, by WORDING_SHARE."""
        own = min(max(self.crisis, 1e-5), 1 - 1e-5)
        odds = (1 - WORDING_SHARE) * math.log(own / (1 - own)) + WORDING_SHARE * other
        self.crisis = 1 / (1 + math.exp(-odds))


def _windows(ids: list[int]) -> list[list[int]]:
    """Cut tokens into half-overlapping windows: all of them, or the first, the last and some spread between."""
    if len(ids) <= WINDOW_TOKENS:
        return [ids]
    step = WINDOW_TOKENS // 2
    cuts = list(range(0, len(ids) - step, step))
    if len(cuts) > MOST_WINDOWS:
        cuts = [cuts[round(index * (len(cuts) - 1) / (MOST_WINDOWS - 1))] for index in range(MOST_WINDOWS)]
    return [ids[cut : cut + WINDOW_TOKENS] for cut in cuts]
