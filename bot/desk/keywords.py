"""What single texts mean by SMS: carriers' keywords, numbers as choices, and which language somebody writes.

Keywords are those of Twilio's default list (help.twilio.com, "Twilio support for opt-out keywords", read 2026-11-23:
the whole message must be the keyword, in any case) and their Spanish words, and no more: everything else is a message.
"""

from __future__ import annotations

import re

STOP = frozenset(
    {"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "alto", "parar", "cancelar", "baja"}
)
START = frozenset({"start", "unstop"})
START_WHILE_STOPPED = frozenset({"yes"})  # else it answers a question
HELP = frozenset({"help", "info", "ayuda"})

# Requests to be left alone in other words: these are asked back once, never taken for STOP.
LEAVE_ME = re.compile(
    r"\b(?:(?:please )?(?:stop|quit) (?:texting|messaging|contacting|writing) (?:to )?me"
    r"|(?:don t|dont|do not) (?:text|message|contact) me"
    r"|(?:take|remove) me (?:off|from)\b.{0,20}\blist|unsubscribe me|opt me out"
    r"|(?:deja|deje|dejen|para|paren) de (?:escribirme|mandarme mensajes|enviarme mensajes|textearme)"
    r"|no me (?:escribas|escriban|mandes mensajes|manden mensajes) mas)\b"
)
# That texts may come at any time, or that they may not; only as a whole message, but the refusal anywhere in one.
SAFE_TO_TEXT = re.compile(
    r"(?:(?:yes|ok|okay|now|it s|its|it is|you re|you are|si|ahora|ya) )*"
    r"(?:(?:safe|ok|okay|fine) (?:for you )?to (?:text|message|write)(?: to)?(?: me)?"
    r"|you can (?:text|message|write)(?: to)? me"
    r"|texto seguro|(?:es|esta) seguro (?:escribirme|mandarme (?:mensajes|textos))"
    r"|me puedes escribir|puedes escribirme)"
    r"(?: (?:now|here|again|any ?time|at any time|ahora|aqui|otra vez|cuando quieras|a cualquier hora))*"
)
UNSAFE_TO_TEXT = re.compile(
    r"\b(?:not|isn t|isnt|no longer|never) (?:safe|ok|okay|fine) (?:for you )?to (?:text|message|write)\b"
    r"|\bno (?:es|esta) seguro (?:escribirme|mandarme)\b"
    r"|^(?:answers only|only answers|solo respuestas|respuestas solo)$"
)
ORDINALS = (
    ("1", "one", "first", "uno", "una", "primero", "primera"),
    ("2", "two", "second", "dos", "segundo", "segunda"),
    ("3", "three", "third", "tres", "tercero", "tercera"),
    ("4", "four", "fourth", "cuatro", "cuarto", "cuarta"),
    ("5", "five", "fifth", "cinco", "quinto", "quinta"),
)
A_NUMBER = re.compile(r"\d{1,2}")  # of a choice, whether or not there is one; a ZIP code is longer
ZIP_CODE = re.compile(r"(?<![\w-])(\d{5})(?:-\d{4})?(?![\w-])", re.ASCII)
YES = frozenset(
    {"yes", "yeah", "yep", "yup", "ok", "okay", "sure", "please", "yes please", "ok please", "please do"}
    | {"si", "si por favor", "por favor", "claro", "dale", "bueno", "ok por favor"}
)
SAFE = re.compile(
    r"(?:(?:yes|yeah|ok|okay|si) )*(?:(?:i m|im|i am|we re|we are) safe|(?:estoy|estamos) a salvo)"
    r"(?: (?:now|for now|right now|here|at home|really|thanks|thank you|ahora|por ahora|aqui|en casa|gracias))*"
)
NUMBER = {word: number for number, words in enumerate(ORDINALS, 1) for word in words}
BESIDE_NUMBER = frozenset({"the", "number", "option", "one", "el", "la", "numero", "opcion"})

SPANISH_LETTERS = re.compile(r"[ñ¿¡áéíóú]", re.IGNORECASE)
SPANISH_WORDS = re.compile(
    r"\b(?:hola|estoy|quiero|tengo|necesito|puedo|gracias|buenas|ganas|por|favor|para|pero|porque|esta|como|cuando"
    r"|donde|muy|siento|vida|hijo|hija|mi|los|las|la|del|un|una|que|con|mas|ya|y|el|de|nadie|duele|duermo|cuerpo|dolor"
    r"|miedo|droga|drogas|beber|tomar)\b"
)
SPANISH_ALONE = re.compile(r"\b(?:hola|estoy|quiero|tengo|necesito|ayudame|gracias|ayuda|alto|parar|cancelar|baja)\b")


def plain(text: str) -> str:
    """Return a text in small letters without punctuation and accents, with single spaces."""
    folded = text.casefold().translate(str.maketrans("áéíóúü", "aeiouu"))
    return " ".join(re.sub(r"[^\w\s]", " ", folded).split())


def keyword(text: str, *, stopped: bool) -> str | None:
    """Return "stop", "start" or "help" when the whole text is such a keyword."""
    word = re.sub(r"[^\w\s]", "", text).strip().casefold()
    if word in STOP:
        return "stop"
    if word in START or (stopped and word in START_WHILE_STOPPED):
        return "start"
    return "help" if word in HELP else None


def asks_to_be_left(text: str) -> bool:
    """Whether a text asks in free words not to be written to any more."""
    return LEAVE_ME.search(plain(text)) is not None


def safe_to_text(text: str) -> bool | None:
    """Return whether a text says that texts are safe at any time (True) or are not (False); None: neither."""
    words = plain(text)
    if UNSAFE_TO_TEXT.search(words):
        return False
    return True if SAFE_TO_TEXT.fullmatch(words) else None


def number_of(text: str) -> int | None:
    """Return the number of a choice a text names ('2', 'two', 'the second one', 'la segunda'), or None."""
    words = plain(text).split()
    if len(words) > 3:
        return None
    named = [word for word in words if word in NUMBER and not (word == "one" and len(words) > 1)]
    if len(named) != 1 or any(word not in BESIDE_NUMBER for word in words if word != named[0]):
        return None
    return NUMBER[named[0]]


def is_number(text: str) -> bool:
    """Whether a text is nothing but a number such as choices have."""
    return A_NUMBER.fullmatch(plain(text)) is not None


def zip_code(text: str, *, alone: bool = False) -> str | None:
    """Return the five digits of the one ZIP code in a text; with `alone`, of a text that is nothing else."""
    found = list(ZIP_CODE.finditer(text))
    if len(found) != 1 or (alone and found[0][0] != text.strip(" .!?")):
        return None
    return found[0][1]


def is_yes(text: str) -> bool:
    """Whether a text says yes and nothing else."""
    return plain(text) in YES


def says_safe(text: str) -> bool:
    """Whether a text says "I am safe" and nothing else."""
    return SAFE.fullmatch(plain(text)) is not None


def language_of(text: str) -> str:
    """Return the language somebody new writes: Spanish when its letters or small words show it, else English."""
    words = plain(text)
    if SPANISH_LETTERS.search(text) or SPANISH_ALONE.search(words):
        return "es"
    found = len(SPANISH_WORDS.findall(words))
    return "es" if found >= 2 and found * 3 >= len(words.split()) else "en"
