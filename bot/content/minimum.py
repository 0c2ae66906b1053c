"""The built-in minimum: hotline cards and one fallback for when reviewed content cannot load.

These are the only sentences for people that live in code. Numbers only where they are right: the United States.
Everywhere else, words. Sources, read 2026-11-22: 988lifeline.org (988, press 2, AYUDA), fcc.gov (911),
ovc.ojp.gov (1-800-799-7233, and that it cannot send help), cdc.gov/stop-overdose (naloxone and 911).
"""

from __future__ import annotations

import hashlib
import html
import re

from bot.content.rendering import Rendering

GROUPS = {
    "suicide": "crisis",
    "self_harm": "crisis",
    "reality_distress": "crisis",
    "harm_to_others": "crisis",
    "overdose": "overdose",
    "withdrawal": "withdrawal",
    "violence": "violence",
    "child_danger": "child",
}
LINKS = {
    "911": "tel:911",
    "988": "tel:988",
    "1-800-799-7233": "tel:+18007997233",
    "findahelpline.com": "https://findahelpline.com",
}
PROGRAM = {
    "en": "I am a program. I cannot see where you are or send help.",
    "es": "Soy un programa. No puedo ver dónde estás ni enviar ayuda.",
}
TEXTS = {
    "en": {
        "US": {
            "crisis": "Call or text 988 now, day or night. If anyone is in danger right now, call 911.",
            "overdose": "Call 911 now, for you or for the person with you. If naloxone is there, give it. "
            "Stay close and do what the 911 operator says.",
            "withdrawal": "Call 911 now for a seizure, confusion, seeing things, fainting or chest pain. "
            "Do not stop or cut down on your own. A doctor can make it safer.",
            "violence": "If you are in danger now, call 911. To talk to someone about it, call the National Domestic "
            "Violence Hotline, 1-800-799-7233, day or night. It cannot send help to where you are.",
            "child": "If a child is in danger now, call 911. To talk to someone about it, call or text 988.",
            "fallback": "I am having trouble right now. If you are in danger, call 911. "
            "To talk to a person, call or text 988, day or night.",
        },
        "any": {
            "crisis": "In danger right now? Call the emergency number where you are. "
            "To find a helpline in your country, go to findahelpline.com.",
            "overdose": "Call the emergency number where you are now, for you or for the person with you. "
            "If naloxone is there, give it. Stay close and do what the operator says.",
            "withdrawal": "Call the emergency number where you are now for a seizure, confusion, seeing things, "
            "fainting or chest pain. Do not stop or cut down on your own. A doctor can make it safer.",
            "violence": "In danger right now? Call the emergency number where you are. "
            "To find a helpline in your country, go to findahelpline.com.",
            "child": "Is a child in danger right now? Call the emergency number where you are. "
            "To find a helpline in your country, go to findahelpline.com.",
            "fallback": "I am having trouble right now. In danger? Call the emergency number where you are. "
            "To find a helpline in your country, go to findahelpline.com.",
        },
    },
    "es": {
        "US": {
            "crisis": "Llama ahora al 988 y presiona 2, o envía AYUDA al 988, de día o de noche. "
            "Si hay peligro en este momento, llama al 911.",
            "overdose": "Llama ahora al 911, por ti o por quien está contigo. Si hay naloxona, úsala. "
            "No te alejes y haz lo que te digan en el 911.",
            "withdrawal": "Llama ahora al 911 si hay convulsiones, confusión, visiones, desmayo o dolor en el pecho. "
            "No dejes de consumir ni reduzcas por tu cuenta. Con un médico es más seguro.",
            "violence": "Si estás en peligro ahora, llama al 911. Para hablar con alguien, llama a la Línea Nacional "
            "contra la Violencia Doméstica, 1-800-799-7233, de día o de noche. No puede enviar ayuda a donde estás.",
            "child": "Si un niño o una niña corre peligro ahora, llama al 911. "
            "Para hablar con alguien, llama al 988 y presiona 2.",
            "fallback": "Tengo problemas en este momento. Si hay peligro, llama al 911. "
            "Para hablar con una persona, llama al 988 y presiona 2, de día o de noche.",
        },
        "any": {
            "crisis": "¿Hay peligro ahora? Llama al número de emergencias de tu zona. "
            "Para encontrar una línea de ayuda en tu país, entra en findahelpline.com.",
            "overdose": "Llama ahora al número de emergencias de tu zona, por ti o por quien está contigo. "
            "Si hay naloxona, úsala. No te alejes y haz lo que te digan por teléfono.",
            "withdrawal": "Llama ahora al número de emergencias de tu zona si hay convulsiones, confusión, visiones, "
            "desmayo o dolor en el pecho. No dejes de consumir ni reduzcas por tu cuenta. Con un médico es más seguro.",
            "violence": "¿Hay peligro ahora? Llama al número de emergencias de tu zona. "
            "Para encontrar una línea de ayuda en tu país, entra en findahelpline.com.",
            "child": "¿Corre peligro un niño? Llama al número de emergencias de tu zona. "
            "Para encontrar una línea de ayuda en tu país, entra en findahelpline.com.",
            "fallback": "Tengo problemas. ¿Hay peligro? Llama al número de emergencias de tu zona. "
            "Para encontrar una línea de ayuda en tu país, entra en findahelpline.com.",
        },
    },
}
WORDS = {
    "en": {
        "US": {"emergency": "911", "crisis_line": "call or text 988"},
        "any": {
            "emergency": "the emergency number where you are",
            "crisis_line": "find a helpline at findahelpline.com",
        },
    },
    "es": {
        "US": {"emergency": "911", "crisis_line": "llamar al 988 y presionar 2"},
        "any": {
            "emergency": "número de emergencias del lugar donde estás",
            "crisis_line": "buscar una línea de ayuda en findahelpline.com",
        },
    },
}


CONTACTS = {
    "US": (("911", "911", None, None), ("988", "988", "988", None)),
    "any": (("findahelpline.com", None, None, "https://findahelpline.com"),),
}


def minimum_contacts(country: str | None) -> list[dict[str, str | None]]:
    """Return whom to reach, by number or address alone, in the form of Line.contact."""
    rows = CONTACTS.get(country or "any", CONTACTS["any"])
    empty = dict.fromkeys(("id", "what", "hours", "text_word"))
    return [{**empty, "name": n, "call": call, "text_to": text, "chat_url": url} for n, call, text, url in rows]


def speaks(language: str) -> bool:
    """Whether the minimum has words in a language."""
    return language in TEXTS


def minimum_words(country: str | None, language: str) -> dict[str, str]:
    """Return the country variables for when hotlines.yml cannot be used."""
    words = WORDS[_tongue(language)]
    return words.get(country or "any", words["any"])


def minimum_card(category: str, *, country: str | None, language: str, channel: str) -> Rendering:
    """Return the built-in card; an unknown category gets the crisis card."""
    group = GROUPS.get(category, "crisis")
    text = f"{_text(group, country, language)}\n\n{PROGRAM[_tongue(language)]}"
    return _rendering(f"minimum/{group}", text, language, channel, card=True)


def minimum_line(category: str, *, country: str | None, language: str, channel: str) -> Rendering:
    """Return the built-in line for when the full card was shown before: its first sentence or two, with the number."""
    sentences = re.split(r"(?<=[.?]) ", _text(GROUPS.get(category, "crisis"), country, language))
    text = " ".join(sentences[:2]) if sentences[0].endswith("?") else sentences[0]
    return _rendering(f"minimum/{GROUPS.get(category, 'crisis')}", text, language, channel, card=False)


def minimum_fallback(*, country: str | None, language: str, channel: str) -> Rendering:
    """Return the one ordinary reply that is left when no content loads."""
    text = f"{_text('fallback', country, language)}\n\n{PROGRAM[_tongue(language)]}"
    return _rendering("minimum/fallback", text, language, channel, card=False)


def _tongue(language: str) -> str:
    return language if language in TEXTS else "en"


def _text(group: str, country: str | None, language: str) -> str:
    places = TEXTS[_tongue(language)]
    return places.get(country or "any", places["any"])[group]


def _rendering(item: str, text: str, language: str, channel: str, card: bool) -> Rendering:
    return Rendering(
        item=item,
        version=0,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        language=_tongue(language),
        channel=channel,
        step=0,
        steps=1,
        text=text,
        html=_html(text) if channel == "web" else "",
        card=card,
    )


def _html(text: str) -> str:
    linked = html.escape(text, quote=False)
    for words, target in LINKS.items():
        away = ' target="_blank" rel="noopener noreferrer"' if target.startswith("https") else ""
        linked = re.sub(rf"(?<![\w/.-]){re.escape(words)}(?![\w-])", f'<a href="{target}"{away}>{words}</a>', linked)
    return "".join(f"<p>{paragraph}</p>" for paragraph in linked.split("\n\n"))
