"""SMS segments: what a text costs to send, by 3GPP TS 23.038 (GSM-7: 160, 153 each when longer; UCS-2: 70, 67)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_7_TWO_UNITS = frozenset("\f^{}\\[~]|€")
LOOKALIKES = str.maketrans({**dict.fromkeys("‘’‚", "'"), **dict.fromkeys("“”„", '"'), **dict.fromkeys("–—‑", "-")})
LOOKALIKES |= str.maketrans({"…": "...", "\u00a0": " "})
LONGEST_TEXT = 1600  # characters of one message at Twilio (error 21617 beyond; twilio.com/docs/api/errors/21617)
SENTENCE_END = re.compile(r"(?<=[.!?\n])\s+")
FIRST_SEGMENT = {"GSM-7": 160, "UCS-2": 70}
EACH_SEGMENT = {"GSM-7": 153, "UCS-2": 67}


@dataclass(frozen=True)
class Segments:
    """How a text travels by SMS; `units` are septets (GSM-7) or 16-bit units (UCS-2)."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    count: int


def segment(text: str) -> Segments:
    """Return the encoding, units and segments of a text; a character of two units never straddles two segments."""
    encoding: Literal["GSM-7", "UCS-2"] = "GSM-7" if not unusual_characters(text) else "UCS-2"
    sizes = [_size(character, encoding) for character in text]
    units = sum(sizes)
    if units <= FIRST_SEGMENT[encoding]:
        return Segments(encoding, units, 1)
    count, room = 1, EACH_SEGMENT[encoding]
    for size in sizes:
        if size > room:
            count, room = count + 1, EACH_SEGMENT[encoding]
        room -= size
    return Segments(encoding, units, count)


def to_gsm_7(text: str) -> str:
    """Return a text with plain quotes and dashes when that alone lets it travel as GSM-7; else the text as it is."""
    plainer = text.translate(LOOKALIKES)
    return text if unusual_characters(plainer) else plainer


def parts(text: str, longest: int = LONGEST_TEXT) -> list[str]:
    """Return a text in parts of at most `longest` characters, cut where sentences end, or else between words."""
    found = [""]
    for sentence in SENTENCE_END.split(text.strip()):
        for piece in _pieces(sentence, longest):
            whole = f"{found[-1]} {piece}".strip()
            if len(whole) <= longest and found[-1]:
                found[-1] = whole
            else:
                found.append(piece)
    return [part for part in found if part] if len(text) > longest else [text]


def _pieces(sentence: str, longest: int) -> list[str]:
    pieces = []
    while len(sentence) > longest:
        cut = sentence.rfind(" ", 1, longest + 1)
        cut = cut if cut > 0 else longest
        pieces.append(sentence[:cut].rstrip())
        sentence = sentence[cut:].lstrip()
    return [*pieces, sentence]


def unusual_characters(text: str) -> str:
    """Return the characters, each once, that force a text out of GSM-7."""
    return "".join(sorted({c for c in text if c not in GSM_7 and c not in GSM_7_TWO_UNITS}))


def _size(character: str, encoding: str) -> int:
    if encoding == "GSM-7":
        return 2 if character in GSM_7_TWO_UNITS else 1
    return 2 if ord(character) > 0xFFFF else 1
