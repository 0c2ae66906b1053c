"""The shelf: everything a content folder holds, before anyone asks whether it is signed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bot.content import hotlines as lines
from bot.content.hotlines import Hotlines, parse_hotlines
from bot.content.item import Item, parse_item
from bot.content.ledger import Ledger
from bot.content.problem import Problem, problem_of
from bot.content.rendering import COUNTRY_VARIABLES, PLAN_VARIABLES, ZIP, check_markup, check_plain
from bot.errors import ContentError

ITEMS_FOLDER = "items"
NEAR = "find_help_near"  # the topic of what is said to somebody who wrote a ZIP code
LABEL_PLACE = re.compile(r"(?<!\{)\{[a-z_]+\}(?!\})")  # {seconds}: the widget fills it with a number


@dataclass(frozen=True)
class Shelf:
    """The parsed items, hotlines and ledger of a content folder, and what could not be read."""

    items: list[Item]
    hotlines: Hotlines | None
    ledger: Ledger
    problems: list[Problem]


def read_shelf(folder: Path) -> Shelf:
    """Read a content folder; never raises: what cannot be read is listed in `problems` and left out."""
    problems: list[Problem] = []
    items: dict[tuple[str, str], Item] = {}
    for path in sorted((folder / ITEMS_FOLDER).glob("**/*.md")):
        file = path.relative_to(folder).as_posix()
        try:
            item = read_item(path.read_bytes(), file)
            if (item.id, item.language) in items:
                raise ContentError(f"{file}: {item.id} is there twice: keep one of the two files")
            items[item.id, item.language] = item
        except Exception as error:  # whatever is wrong with one file, the others are served
            problems.append(problem_of(file, error))
    hotlines = None
    try:
        hotlines = parse_hotlines((folder / lines.FILE).read_bytes())
    except Exception as error:  # whatever is wrong with one file, the others are served
        problems.append(problem_of(lines.FILE, error))
    ledger = Ledger.load(folder)
    problems += ledger.problems
    if not items:
        problems.append(Problem(ITEMS_FOLDER, "holds no usable item", "point HANDRAIL_CONTENT_FOLDER at the content"))
    return Shelf(list(items.values()), hotlines, ledger, problems)


def read_item(data: bytes, file: str) -> Item:
    """Return the item in the bytes of a file; ContentError when it cannot be read or could not be rendered.

    Variables come from the fixed list; the plan's own words belong to plan items, a ZIP code to NEAR ones only.
    """
    item = parse_item(data, file)
    allowed = COUNTRY_VARIABLES + (PLAN_VARIABLES if item.folder == "plan" else ())
    allowed += (ZIP,) if NEAR in item.topics else ()
    for text in item.web:
        check_markup(text, item.file, allowed)
    for text in (*item.sms, *item.again):
        check_plain(text, item.file, allowed)
    for text in (*(choice.label for choice in item.choices), item.next_label or ""):
        check_plain(text, item.file, ())
    for text in item.labels.values():
        check_plain(LABEL_PLACE.sub("", text), item.file, ())
    return item


def unusable_line(item: Item, hotlines: Hotlines | None) -> str | None:
    """Return why the lines an item names cannot be served; None when they can."""
    for name in item.lines:
        line = hotlines.lines.get(name) if hotlines else None
        if line is None:
            return f"names the line {name}, which is not in a usable {lines.FILE}: correct the name or the file"
        if not line.is_verified:
            return f"names the unverified line {name}: read the operator's page, then mark it verified"
        if line.country not in (item.country, lines.ANYWHERE):
            return f"names {name} but its country is not {line.country}: write `country: {line.country}`"
    return None
