"""SMS segments: encoding, units and counts by the standard."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.content.segments import EACH_SEGMENT, FIRST_SEGMENT, segment, unusual_characters


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("[" * 80, "GSM-7", 160, 1),
        ("a" * 159 + "€", "GSM-7", 161, 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),  # the euro sign would straddle, so it moves to part 2
        ("¿Cómo", "UCS-2", 5, 1),
        ("ñ¿¡éü", "GSM-7", 5, 1),
        ("á" * 70, "UCS-2", 70, 1),
        ("á" * 71, "UCS-2", 71, 2),
        ("á" * 134, "UCS-2", 134, 2),
        ("á" * 135, "UCS-2", 135, 3),
        ("😀" * 35, "UCS-2", 70, 1),
        ("á" * 66 + "😀" + "á" * 66, "UCS-2", 134, 3),
        ("It’s", "UCS-2", 4, 1),
    ],
)
def test_counts(text, encoding, units, count):
    size = segment(text)
    assert (size.encoding, size.units, size.count) == (encoding, units, count)


@settings(deadline=None)
@given(st.text(max_size=600))
def test_a_text_always_fits_its_segments(text):
    size = segment(text)
    assert size.encoding == ("UCS-2" if unusual_characters(text) else "GSM-7")
    assert size.count == 1 or size.units > FIRST_SEGMENT[size.encoding]
    room = FIRST_SEGMENT[size.encoding] if size.count == 1 else size.count * EACH_SEGMENT[size.encoding]
    assert size.units <= room
