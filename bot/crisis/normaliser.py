"""The normaliser: reads a message into plain lower-case words that still know where in the original they stand.

It undoes what hides a word from a rule: compatibility characters (NFKC), accents, zero-width characters, look-alike
letters, leet, spaced-out and run-together letters, repeated letters, stars, and phone-typing slips. Changes that could
turn an innocent word into a dangerous one are made only when the outcome is a word the rules know.
"""

import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

import numpy

LONGEST_TEXT = 64_000  # characters looked at after dropping marks: the first and the last half of longer texts
WINDOW = 1_000  # characters of a long text that are read together
WINDOW_OVERLAP = 150
MOST_WINDOWS = 6  # windows read of one text: the first, the last, and those between with most words of danger
MOST_WORDS = 400  # words of one window that are looked at; ordinary prose has about 190
LONGEST_RUN = 40  # letters of one run that are tried as run-together words

_APOSTROPHES = "'`´‘’‚‛ʼ′＇"
_LOOKALIKES = str.maketrans(
    "авеіјкмнорсԁѕтухһіɡԛԝүαβεικνορτυχγωɑıłøđħ¡¿",
    "abeijkmhopcdstyxhigqwyabeiknoptuxywailodh  ",
)
_EMOJI = {
    "🔫": "gun", "🔪": "knife", "🗡": "knife", "💊": "pills", "💉": "needle", "🩸": "blood", "⚰": "coffin",
    "🪦": "grave", "☠": "dead", "🪢": "rope", "🍺": "beer", "🍷": "wine", "🥃": "liquor", "🚨": "emergency",
    "🆘": "sos", "👶": "baby",     "💀": "emojiskull", "😂": "lol", "🤣": "lol", "😹": "lol", "😆": "lol",
}  # fmt: skip
# Combining marks, zero-width, direction and variation characters, as code point ranges.
_MARKS = (
    (0x300, 0x36F), (0x483, 0x489), (0x591, 0x5BD), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x200B, 0x200F),
    (0x202A, 0x202E), (0x2060, 0x206F), (0x20D0, 0x20FF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
)  # fmt: skip
_LEET = str.maketrans("0134578@$!|€", "oieastbasiie")
_LEET_L = str.maketrans("0134578@$!|€", "oleastbaslle")
_WORD = re.compile(r"[a-z0-9](?:[a-z0-9'*@$!|€]{0,60}[a-z0-9*@$])?|[@$!][a-z0-9*@$!|€]{0,12}[a-z0-9]")
_LETTER_RUN = re.compile(r"(?<![a-z0-9'])[a-z0-9@$!](?:[ .\-_*/~,]{1,3}[a-z0-9@$!](?![a-z0-9'])){2,}")
_LOUD = re.compile(r"(.)\1{2,}")
_NEIGHBOURS = {
    "q": "wa", "w": "qeas", "e": "wrsd", "r": "etdf", "t": "ryfg", "y": "tugh", "u": "yihj", "i": "uojk", "o": "ipkl",
    "p": "ol", "a": "qwsz", "s": "awedxz", "d": "serfcx", "f": "drtgvc", "g": "ftyhbv", "h": "gyujnb", "j": "huikmn",
    "k": "jiolm", "l": "kop", "z": "asx", "x": "zsdc", "c": "xdfv", "v": "cfgb", "b": "vghn", "n": "bhjm", "m": "njk",
}  # fmt: skip
_SHORTEST_SLIP = 6  # letters; shorter words have too many innocent neighbours


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the rules see it, and the half-open range of the original text it was read from."""

    text: str
    start: int
    end: int
    gap: str  # what stands between this word and the next, folded: breaks and punctuation


@dataclass(frozen=True)
class Folded:
    """Text with every character made plain; `origin[i]` is the place of character i in the original."""

    text: str
    origin: "array[int]"


def fold(text: str, origin: "array[int] | None" = None) -> Folded:
    """Make characters plain: NFKC, lower case, no accents, marks or zero-width characters, emoji as their meaning."""
    places = array("l", range(len(text))) if origin is None else origin
    if text.isascii():
        return Folded(text.lower().replace("`", "'"), places)
    plain: list[str] = []
    spread = array("l")
    before = ""
    for place, character in zip(places, text, strict=True):
        folded = _fold_character(character)
        if len(folded) > 1 and folded == before:
            continue  # the same emoji again says nothing new
        before = folded
        plain.append(folded)
        spread.extend([place] * len(folded))
    return Folded("".join(plain), spread)


def _shorten(text: str) -> "tuple[str, array[int]]":
    """Keep the first and last half of LONGEST_TEXT, not counting combining marks and zero-width characters."""
    codes = numpy.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=numpy.uint32)
    noise = numpy.zeros(len(codes), dtype=bool)
    for low, high in _MARKS:
        noise |= (codes >= low) & (codes <= high)
    kept = numpy.flatnonzero(~noise)
    if len(kept) > LONGEST_TEXT:
        half = LONGEST_TEXT // 2
        kept = numpy.concatenate([kept[:half], kept[-half:]])
    shortened = codes[kept].tobytes().decode("utf-32-le", "surrogatepass")
    return shortened, array("l", kept.tolist())


@lru_cache(maxsize=8192)
def _fold_character(character: str) -> str:
    if character in _APOSTROPHES:
        return "'"
    if character in _EMOJI:
        return f" {_EMOJI[character]} "
    lowered = unicodedata.normalize("NFKD", character).lower().translate(_LOOKALIKES)
    plain = "".join(letter for letter in lowered if unicodedata.category(letter) not in {"Mn", "Me", "Mc", "Cf", "Cs"})
    if len(plain) > 8:  # a few characters expand to whole phrases
        return " "
    return plain if plain.isascii() else " "


class Reader:
    """Reads texts into words, repaired towards `known` words; `slips` maps known misspellings to what was meant.

    `danger` words decide which windows of a long text are read; letters run together are taken apart only when one of
    `run_words` comes out ("weather" is not "we at her"); `guarded` words also have their one-letter slips
    repaired, unless the slip is an `innocent` word.
    """

    def __init__(
        self,
        known: Set[str],
        danger: Set[str],
        run_words: Set[str],
        slips: Mapping[str, str],
        guarded: Set[str],
        innocent: Set[str],
    ) -> None:
        self._known = frozenset(known)
        self._danger = frozenset(danger)
        self._run_words = frozenset(run_words)
        self._slips = dict(slips)
        self._innocent = frozenset(innocent)
        self._near = self._neighbours(guarded)
        self._by_length: dict[int, list[str]] = {}
        for word in sorted(self._known):
            self._by_length.setdefault(len(word), []).append(word)
        self._repair = lru_cache(maxsize=20_000)(self._repair_uncached)

    def read(self, text: str) -> list[list[Word]]:
        """Read a text into windows of words: one for any ordinary message, several for a long one."""
        return [self._read_window(piece, origin) for piece, origin in self._windows(text)]

    def _windows(self, text: str) -> "list[tuple[str, array[int] | None]]":
        """Cut a long text into overlapping windows; keep the first, the last, and those richest in words of danger."""
        if len(text) <= WINDOW:
            return [(text, None)]
        text, origin = _shorten(text)
        cuts = range(0, max(1, len(text) - WINDOW_OVERLAP), WINDOW - WINDOW_OVERLAP)
        pieces = [(text[cut : cut + WINDOW], origin[cut : cut + WINDOW]) for cut in cuts]
        # A word of danger counts the more the fewer windows hold it, so that one line stands out in pages of chat.
        danger = [self._danger_in(piece) for piece, _ in pieces]
        spread = Counter(word for words in danger for word in words)
        richness = [sum(1 / spread[word] for word in words) for words in danger]
        between = sorted(range(1, len(pieces) - 1), key=lambda index: richness[index], reverse=True)
        kept = {0, *between[: MOST_WINDOWS - 2], len(pieces) - 1}
        return [pieces[index] for index in sorted(kept)]

    def _danger_in(self, piece: str) -> Set[str]:
        rough = unicodedata.normalize("NFKD", piece).encode("ascii", "ignore").decode().lower()
        return self._danger.intersection(rough.replace("'", "").split())

    def _read_window(self, piece: str, places: "array[int] | None") -> list[Word]:
        folded = fold(piece, places)
        plain, origin = folded.text, folded.origin
        pieces: list[tuple[int, int, tuple[str, ...]]] = []
        at = 0
        for run in _LETTER_RUN.finditer(plain):
            joined = self._join(run.group())
            if joined:
                pieces += self._words(plain, at, run.start())
                pieces.append((run.start(), run.end(), joined))
                at = run.end()
        pieces += self._words(plain, at, len(plain))
        words: list[Word] = []
        for index, (start, end, parts) in enumerate(pieces):
            if len(words) >= MOST_WORDS:
                break
            if len(parts) == 1 and [parts[0]] * 2 == [word.text for word in words[-2:]]:
                continue  # the same word a third time says nothing new
            following = pieces[index + 1][0] if index + 1 < len(pieces) else len(plain)
            gap = plain[end : min(following, end + 12)]
            first, last = origin[start], origin[end - 1] + 1
            words += [Word(part, first, last, "") for part in parts[:-1]]
            words.append(Word(parts[-1], first, last, gap))
        return words

    def _words(self, plain: str, start: int, end: int) -> list[tuple[int, int, tuple[str, ...]]]:
        return [(m.start(), m.end(), self._repair(m.group()[:64])) for m in _WORD.finditer(plain, start, end)]

    def _join(self, run: str) -> tuple[str, ...] | None:
        """Join spaced-out letters ('d i e'), or None when they spell nothing the rules know."""
        letters = re.sub(r"[^a-z0-9@$!]", "", run)
        if len(letters) > LONGEST_RUN:
            return None
        for table in (_LEET, _LEET_L):
            word = letters.translate(table)
            if word in self._known:
                return (word,)
            parts = self._split(word)
            if parts and max(len(part) for part in parts) > 2:
                return parts
        return None

    def _repair_uncached(self, raw: str) -> tuple[str, ...]:
        word = raw.replace("'", "")
        if word in self._known or word in self._innocent:
            return (word,)
        if word in self._slips:
            return tuple(self._slips[word].split())
        for candidate in self._candidates(word):
            if candidate in self._known:
                return (candidate,)
            if candidate in self._slips:
                return tuple(self._slips[candidate].split())
        if "*" in word.strip("*"):
            starred = self._unstar(word)
            if starred:
                return (starred,)
        word = re.sub(r"[^a-z0-9]", "", word) or "*"
        quiet = _LOUD.sub(r"\1", word)
        if quiet in self._near:
            return (self._near[quiet],)
        if 7 <= len(quiet) <= LONGEST_RUN and quiet.isalpha():
            return self._split(quiet) or (quiet,)
        return (quiet,)

    def _candidates(self, word: str) -> list[str]:
        found = []
        for spelled in dict.fromkeys((word, word.translate(_LEET), word.translate(_LEET_L))):
            bare = spelled.strip("!|*@$")
            found += [spelled, bare, _LOUD.sub(r"\1\1", bare), _LOUD.sub(r"\1", bare), re.sub(r"(.)\1+", r"\1", bare)
                      if _LOUD.search(bare) else bare]  # fmt: skip
        return found

    def _unstar(self, word: str) -> str | None:
        pattern = re.compile("".join("[a-z]" if letter == "*" else re.escape(letter) for letter in word))
        if sum(letter != "*" for letter in word) < 2:
            return None
        return next((known for known in self._by_length.get(len(word), ()) if pattern.fullmatch(known)), None)

    def _split(self, run: str) -> tuple[str, ...] | None:
        """Split a run of letters into the fewest known words, one of them of `run_words`; None when it cannot be."""
        best: list[tuple[str, ...] | None] = [()] + [None] * len(run)
        for end in range(1, len(run) + 1):
            for start in range(max(0, end - 14), end):
                before, part = best[start], run[start:end]
                if before is None or part not in self._known or (len(part) == 1 and part not in "iy"):
                    continue
                if best[end] is None or len(before) + 1 < len(best[end]):  # type: ignore[arg-type]
                    best[end] = (*before, part)
        words = best[len(run)]
        return words if words and not self._run_words.isdisjoint(words) else None

    def _neighbours(self, guarded: Set[str]) -> dict[str, str]:
        """Map every one-slip misspelling of the guarded words: dropped, doubled, swapped or neighbouring letter."""
        near: dict[str, str] = {}
        for word in sorted(guarded):
            if len(word) < _SHORTEST_SLIP:
                continue
            slips = {word[:i] + word[i + 1 :] for i in range(1, len(word))}
            slips |= {word[:i] + word[i] + word[i:] for i in range(len(word))}
            slips |= {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
            slips |= {word[:i] + key + word[i + 1 :] for i in range(len(word)) for key in _NEIGHBOURS.get(word[i], "")}
            for slip in slips - self._known - self._innocent:
                near.setdefault(slip, word)
        return near
