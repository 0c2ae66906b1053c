"""Rendering: reviewed Markdown to safe HTML and readable plain text, with variables from a fixed list.

Values are put into the parsed text, after Markdown has been read, so a person's own words can be neither markup
nor another variable.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.content.item import Choice
from bot.errors import ContentError

COUNTRY_VARIABLES = ("emergency", "crisis_line")
PLAN_VARIABLES = tuple(
    f"plan.{word}" for word in ("triggers", "signs", "helps", "people", "places", "lapse", "naloxone")
)
ZIP = "zip"  # the one variable a link may hold: five digits that a person wrote
ZIP_CODE = re.compile(r"\d{5}", re.ASCII)
OWN_VARIABLES = (*PLAN_VARIABLES, ZIP)  # what comes from the person, and is kept out of what is rendered once for all
VARIABLE = re.compile(r"\{\{ ?([a-z_.]+) ?\}\}")
MAX_VALUE_CHARACTERS = 200
NOTHING = "-"  # what stands where the person gave no answer
TAGS = {"p", "strong", "em", "ul", "ol", "li", "a", "br"}
SCHEMES = {"http", "https", "tel", "sms"}
BLOCKS = {"paragraph", "bullet_list", "ordered_list", "list_item"}
INLINE = {"text", "strong", "em", "link", "softbreak", "hardbreak"}
MARKDOWN = MarkdownIt("commonmark", {"html": False})


@dataclass(frozen=True)
class Rendering:
    """What one person reads: plain `text` always, sanitised `html` on the web, and what they can choose next."""

    item: str
    version: int
    sha256: str
    language: str
    channel: str
    step: int
    steps: int
    text: str
    html: str = ""
    choices: tuple[Choice, ...] = ()
    card: bool = False
    timer_seconds: int | None = None


def render_web(text: str, values: Mapping[str, str]) -> tuple[str, str]:
    """Return the plain text and the sanitised HTML of a web step."""
    tokens = MARKDOWN.parse(text)
    for token in _flat(tokens):
        if token.type == "text":
            token.content = fill(token.content, values)
        elif token.type == "link_open" and (href := str(token.attrs.get("href", ""))).startswith("http"):
            token.attrSet("target", "_blank")
            token.attrSet("href", fill(href.replace("%7B", "{").replace("%7D", "}"), values))
    html = nh3.clean(
        MARKDOWN.renderer.render(tokens, MARKDOWN.options, {}),
        tags=TAGS,
        attributes={"a": {"href", "target"}},
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer",
    )
    return plain_text(tokens), html.strip()


def render_line(text: str, values: Mapping[str, str]) -> tuple[str, str]:
    """Return a plain line with its variables filled in, and the same as HTML."""
    line = fill(text, values)
    return line, f"<p>{escape(line, quote=False)}</p>"


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put the values into a text once; what a value contains is never filled in again."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in values:
            raise ContentError(f"no value for {{{{{name}}}}}: pass it, or remove it from the text")
        if name == ZIP and not ZIP_CODE.fullmatch(values[name]):
            raise ContentError("a ZIP code has five digits: pass it so")
        return tame(values[name]) if name in PLAN_VARIABLES else values[name]

    return VARIABLE.sub(value, text)


def tame(words: str) -> str:
    """Return a person's own words on one line, at most MAX_VALUE_CHARACTERS long, without invisible controls."""
    kept = "".join(" " if character.isspace() else character for character in words if _is_visible(character))
    line = " ".join(kept.split())
    return (line if len(line) <= MAX_VALUE_CHARACTERS else line[: MAX_VALUE_CHARACTERS - 3] + "...") or NOTHING


def _is_visible(character: str) -> bool:
    """Everything but control, direction and unassigned characters; the joiners that scripts and emoji need stay."""
    return character.isspace() or character in "\u200c\u200d" or unicodedata.category(character)[0] != "C"


def check_markup(text: str, file: str, allowed: Sequence[str]) -> None:
    """Refuse Markdown outside the small subset and variables outside `allowed`; ContentError names what to change."""
    check_variables(text, file, allowed)
    for token in _flat(MARKDOWN.parse(text)):
        kind = token.type.removesuffix("_open").removesuffix("_close")
        if kind not in BLOCKS | INLINE | {"inline"}:
            raise ContentError(f"{file}: {kind} is not allowed: use paragraphs, **bold**, *em*, lists and links")
        if kind == "text" and ("](" in token.content or re.search(r"<[/a-zA-Z!]", token.content)):
            raise ContentError(f"{file}: HTML, or a link that is not http, https, tel or sms: remove it")
        if kind == "text":
            check_variables(token.content, file, allowed)  # again: braces can hide behind entities
        href = str(token.attrs.get("href", "")) if kind == "link" and token.nesting == 1 else None
        if href is not None and ZIP in allowed:
            href = href.replace(f"%7B%7B{ZIP}%7D%7D", "")
        if href is not None and (href.partition(":")[0] not in SCHEMES or "%7B" in href):
            raise ContentError(f"{file}: a link must be http, https, tel or sms and hold no variable: correct it")


def check_plain(text: str, file: str, allowed: Sequence[str]) -> None:
    """Refuse Markdown in a text that is sent as it stands, and variables outside `allowed`."""
    check_variables(text, file, allowed)
    if re.search(r"\*\*|\]\(|^#|<[/a-zA-Z!]", text, re.MULTILINE):
        raise ContentError(f"{file}: Markdown or HTML in a plain text (SMS, again, label): write plain words")


def variables(text: str) -> set[str]:
    """Return the names of the variables in a text."""
    return set(VARIABLE.findall(text))


def check_variables(text: str, file: str, allowed: Sequence[str]) -> None:
    """Refuse a variable outside the fixed list, and braces that only look like one."""
    for name in sorted(variables(text)):
        if name not in allowed:
            raise ContentError(f"{file}: unknown variable {name[:40]!r}: use one of {', '.join(allowed)}")
    if re.search(r"[{}]", VARIABLE.sub("", text)):
        raise ContentError(f"{file}: stray braces: write a variable as {{{{name}}}}, or remove them")


def blocks(text: str) -> list[str]:
    """Return the paragraphs and list entries of a web step, without markers and link targets."""
    return [_words(token) for token in MARKDOWN.parse(text) if token.type == "inline"]


def _words(inline: Token) -> str:
    breaks = {"softbreak": " ", "hardbreak": "\n"}
    return "".join(breaks.get(child.type, child.content) for child in inline.children or [])


def numbered(choices: Sequence[Choice]) -> str:
    """Return the choices as the numbered lines that an SMS ends with."""
    return "\n".join(f"{number} {choice.label}" for number, choice in enumerate(choices, 1))


def plain_text(tokens: Sequence[Token]) -> str:
    """Return parsed Markdown as text: blank lines between paragraphs, `-` and `1.` lists, link targets in brackets."""
    text, marker, was_in_list = "", "", False
    lists: list[int | None] = []  # the next number of each open list; None for bullets
    for token in tokens:
        if token.type == "bullet_list_open":
            lists.append(None)
        elif token.type == "ordered_list_open":
            lists.append(int(token.attrs.get("start", 1)))
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            lists.pop()
        elif token.type == "list_item_open":
            number = lists[-1]
            marker = "  " * (len(lists) - 1) + ("- " if number is None else f"{number}. ")
            lists[-1] = None if number is None else number + 1
        elif token.type == "inline":
            between = "\n" if lists and was_in_list else "\n\n"
            text += (between if text else "") + marker + _with_targets(token)
            marker, was_in_list = "", bool(lists)
    return text


def _with_targets(inline: Token) -> str:
    """Return the words of a paragraph, each link followed by its target unless the words already show it."""
    text, starts = "", []
    for child in inline.children or []:
        if child.type == "link_open":
            starts.append((str(child.attrs["href"]), len(text)))
        elif child.type == "link_close":
            href, start = starts.pop()
            target = re.sub(r"^(tel:|sms:)", "", href)
            shown = re.sub(r"\W", "", text[start:])
            bare = re.sub(r"\W", "", re.sub(r"^https?://(www\.)?", "", target))
            text += "" if bare in shown else f" ({target})"
        else:
            text += {"softbreak": " ", "hardbreak": "\n"}.get(child.type, child.content)
    return text


def _flat(tokens: Sequence[Token]) -> list[Token]:
    return [each for token in tokens for each in (token, *(token.children or []))]
