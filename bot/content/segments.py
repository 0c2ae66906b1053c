"""SMS segments: what a text costs to send, by 3GPP TS 23.038 (GSM-7: 160, 153 each when longer; UCS-2: 70, 67)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_7_TWO_UNITS = frozenset("\f^{}\\[~]|€")
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


def unusual_characters(text: str) -> str:
    """Return the characters, each once, that force a text out of GSM-7."""
    return "".join(sorted({c for c in text if c not in GSM_7 and c not in GSM_7_TWO_UNITS}))


def _size(character: str, encoding: str) -> int:
    if encoding == "GSM-7":
        return 2 if character in GSM_7_TWO_UNITS else 1
    return 2 if ord(character) > 0xFFFF else 1
