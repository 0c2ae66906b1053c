"""The checks before release: each fault is found, and good content passes."""

import re

import pytest

from bot.content.check import check
from bot.content.hotlines import first_number_end, number_pattern, parse_hotlines, strange_numbers
from bot.content.minimum import GROUPS
from bot.content.wording import load_wording
from bot.errors import ContentError
from tests.unit.content_folder import HOTLINES, NOW, ContentFolder, line

SPANISH_CARD = {
    "text": "**Llama al [988](tel:988) ahora.** En peligro, llama al 911. Soy un programa y no envío ayuda.",
    "sms": "Llama al 988 ahora. En peligro, llama al 911. Soy un programa.",
    "again": "- Llama al 988.\n- El 988 te escucha.\n- En peligro, llama al 911.",
}


@pytest.fixture
def folder(tmp_path):
    return ContentFolder(tmp_path / "content")


def both(folder, item_id="craving/surf", **fields):
    folder.item(item_id, **fields)
    folder.item(item_id, language="es", **({"text": "Siéntate. Respira.", "sms": "Toma aire."} | fields))


def found(folder):
    return [f"{problem.file}: {problem.what}" for problem in check(folder.path, now=NOW)]


def test_good_content_passes(folder):
    both(folder, text="Sit down for 10 minutes, 24/7, 5-4-3-2-1, in 2026 or 15-20 min.", choices="[]")
    both(folder, "craving/walk", choices="[{label: More, reference: surf}, {label: Again, reference: '@again'}]")
    for category in GROUPS:
        folder.card(f"card/{category.replace('_', '-')}", topics=f"[card/{category}]")
        folder.card(f"card/{category.replace('_', '-')}", language="es", topics=f"[card/{category}]", **SPANISH_CARD)
    assert found(folder) == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"text": "Call 555-0100-123."}, "belongs to none"),
        ({"sms": "Text 741741."}, "belongs to none"),
        ({"text": "Call 988."}, "belongs to none"),
        ({"text": "[Call](tel:5550100)."}, "belongs to none"),
        ({"choices": "[{label: Call 988, intent: x}]"}, "belongs to none"),
        ({"text": "An addict can call."}, "word to avoid"),
        ({"text": "He wants to get clean."}, "word to avoid"),
        ({"sms": "Each user has a name."}, "word to avoid"),
        ({"text": "Take 10 mg."}, "method or amount"),
        ({"text": "Take two pills."}, "method or amount"),
        ({"text": "Help is on the way."}, "implies help"),
        ({"text": "I have sent someone."}, "implies help"),
        ({"text": "Stay until help arrives."}, "implies help"),
        ({"text": "Comprehensive pharmacological interventions necessitate evaluation. " * 2}, "reads at grade"),
        ({"sms": "word " * 130}, "segments"),
        ({"sms": "It’s fine."}, "cost twice"),
        ({"sms": "Fine 🙂"}, "cost twice"),
        ({"choices": "[{label: More, reference: nowhere}]"}, "leads to"),
    ],
)
def test_each_fault_is_found(folder, fields, named):
    both(folder, **fields)
    assert any(named in problem and "surf.md" in problem for problem in found(folder)), found(folder)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("La ayuda está en camino.", "implies help"),
        ("Alguien va en camino.", "implies help"),
        ("Ya avisé a la policía.", "implies help"),
        ("Espera hasta que llegue la ayuda.", "implies help"),
        ("Un adicto puede llamar.", "word to avoid"),
        ("Toma dos pastillas.", "method or amount"),
    ],
)
def test_each_fault_is_found_in_spanish(folder, text, named):
    folder.item("craving/surf")
    folder.item("craving/surf", language="es", text=text)
    assert any(named in problem and ".es.md" in problem for problem in found(folder)), found(folder)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "I am a program. I cannot see where you are or send help."),
        ("en", "Alcoholics Anonymous and Narcotics Anonymous meet daily. Hang in there. Drop your shoulder blades."),
        ("en", "The Substance Abuse and Mental Health Services Administration runs a line."),
        (
            "en",
            "A monthly injection of naltrexone. Clean your room. A user-friendly page is fine too.".replace(
                "user-", ""
            ),
        ),
        ("es", "Soy un programa. No puedo ver dónde estás ni enviar ayuda. No sé dónde estás."),
        ("es", "Alcohólicos Anónimos se reúne cada día. Aquí la ayuda está disponible."),
    ],
)
def test_honest_words_pass(language, text):
    assert load_wording()[language].faults(text) == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"sms": "I am a program. " + "It is good that you told me this. " * 5 + "Call 988."}, "first 160"),
        ({"sms": "I am a program. Talk to someone."}, "does not name whom to call"),
        ({"again": "- Call 988.\n- Talk to someone.\n- Call 911."}, "again line 2"),
        ({"again": "- Call 988.\n- Call 911.\n- Call 988 " + "or talk " * 20}, "again line 3"),
        ({"text": "Call 988. In danger, call 911."}, "does not say 'program'"),
        ({"text": "Call 988. I am a program. Multidisciplinary consultation facilitates stabilisation."}, "over 6"),
    ],
)
def test_each_card_fault_is_found(folder, fields, named):
    folder.card(**fields)
    assert any(named in problem for problem in found(folder)), found(folder)


def test_an_accented_card_has_only_seventy_characters(folder):
    folder.card()
    late = "Qué bueno que lo cuentas aquí, gracias por decírmelo, de verdad, de corazón. Llama al 988. Soy un programa."
    folder.card(language="es", **(SPANISH_CARD | {"sms": late}))
    assert any("first 70" in problem for problem in found(folder))


def test_what_is_missing_between_items_is_found(folder):
    folder.item("craving/surf", fits="[web]", sms="")
    folder.item("treatment/find", country="US", topics="[find_help]")
    folder.item("treatment/find", language="es", country="US", topics="[other_topic]")
    folder.card(about="[self]")
    problems = "\n".join(found(folder))
    for named in (
        "surf.md: has no version in es",
        "the topic surf has nothing for sms",
        "the topic find_help has nothing for other countries",
        "find.es.md: topics is not as in",
        "no card for suicide, about other",
        "no card for overdose, about unclear",
    ):
        assert named in problems


def test_sign_offs_are_checked(folder):
    both(folder)
    path = folder.path / folder.item("craving/walk", signed=False)
    assert "items/craving/walk.md: unsigned" in found(folder)
    folder.sign("items/craving/walk.md")
    path.write_text(path.read_text().replace("Sit down.", "Stand up."))
    assert "items/craving/walk.md: altered" in found(folder)


def test_a_wrong_stored_grade_is_found(folder):
    file = folder.item("craving/surf", signed=False)
    path = folder.path / file
    path.write_text(path.read_text().replace("version: 1\n", "version: 1\nreading_grade: 7.7\n"))
    assert any("reading_grade says 7.7" in problem for problem in found(folder))


def test_the_same_id_twice_is_found(folder):
    folder.item("craving/surf")
    nested = folder.path / "items/old/craving"
    nested.mkdir(parents=True)
    (nested / "surf.md").write_bytes((folder.path / "items/craving/surf.md").read_bytes())
    assert any("twice" in problem for problem in found(folder))


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("988", "988"),
        ("988", "9-8-8"),
        ("1-800-662-4357", "1-800-662-HELP (4357)"),
        ("1-800-662-4357", "1 (800) 662-4357"),
        ("1-800-662-4357", "800-662-4357"),
        ("1-800-662-4357", "tel:+18006624357"),
        ("13 11 14", "131114"),
    ],
)
def test_a_number_is_found_however_it_is_written(number, written):
    assert number_pattern(number).search(f"Call {written}, now.")
    assert first_number_end(f"Call {written}.", [number]) == len(f"Call {written}")


@pytest.mark.parametrize("written", ["1988", "9880", "98-7", "988-1234", "1-800-662-4358"])
def test_another_number_is_strange(written):
    known = parse_hotlines((HOTLINES + line("us/911") + line("us/988") + line("us/1-800-662-4357")).encode())
    assert strange_numbers(f"Call {written} now.", known.lines.values()) or re.fullmatch(r"19\d\d|98-7", written)


@pytest.mark.parametrize(
    ("lines", "countries", "named"),
    [
        (line("us/988"), HOTLINES, "911"),  # the country's words name a number that no verified line has
        (line("us/911") + line("us/988", evidence="S"), HOTLINES, "evidence"),
        (line("us/911") + line("us/911"), HOTLINES, "twice"),
        (line("us/911", call=911) + line("us/988"), HOTLINES, "call"),
        (line("us/911", colour="blue") + line("us/988"), HOTLINES, "colour"),
        (line("us/911") + line("us/988"), HOTLINES.replace("  any:", "  GB:"), "any"),
    ],
)
def test_unusable_hotlines_are_named(lines, countries, named):
    with pytest.raises(ContentError, match=f"hotlines.yml.*{named}"):
        parse_hotlines((countries + lines).encode())
