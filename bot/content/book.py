"""The book: one HTML file with every item as it stands, its sources, sign-off and due date."""

from __future__ import annotations

from datetime import datetime
from html import escape
from pathlib import Path

from bot.content.item import Item
from bot.content.shelf import read_shelf
from bot.content.status import Row, status

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "article{border-top:1px solid #999;padding:1rem 0;break-inside:avoid}"
    "pre{white-space:pre-wrap;font:inherit;background:#f4f2ee;color:#222;padding:.75rem;border-radius:.5rem}"
    "nav{columns:2}nav ul{margin:0 0 1rem;padding-left:1.2rem;font-size:.9rem}"
    "h2{margin:0}dl{display:grid;grid-template-columns:8rem 1fr;gap:.2rem 1rem;font-size:.9rem}dd{margin:0}"
)


def write_book(folder: Path, target: Path, *, now: datetime) -> None:
    """Write the book of the content folder to `target`; it holds no script and loads nothing."""
    rows = {(row.item, row.language): row for row in status(folder, now=now)}
    items = sorted(read_shelf(folder).items, key=lambda item: (item.id, item.language))
    chapters = "".join(_chapter(item, rows.get((item.id, item.language))) for item in items)
    folders: dict[str, dict[str, list[str]]] = {}
    for item in items:
        folders.setdefault(item.folder, {}).setdefault(item.id, []).append(item.language)
    contents = "".join(_contents(folder, ids) for folder, ids in folders.items())
    target.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Handrail content</title><style>{STYLE}</style>'
        f"<h1>Handrail content, {now:%Y-%m-%d}</h1><p>{len(items)} texts. Words in double braces are filled in by "
        f"country, or are the person's own.</p><nav>{contents}</nav>{chapters}</html>",
        encoding="utf-8",
    )


def _contents(folder: str, ids: dict[str, list[str]]) -> str:
    """Return a folder's part of the table of contents, each item with a link a language."""

    def links(item_id: str, languages: list[str]) -> str:
        return " ".join(f'<a href="#{escape(item_id)}.{language}">{language}</a>' for language in languages)

    lines = "".join(f"<li>{escape(item_id)} {links(item_id, languages)}</li>" for item_id, languages in ids.items())
    return f"<h2>{escape(folder)}</h2><ul>{lines}</ul>"


def _chapter(item: Item, row: Row | None) -> str:
    facts = {
        "Topics": ", ".join(item.topics),
        "Channels": ", ".join(item.fits),
        "Country": item.country or "any",
        "Sign-off": f"{row.state}, {row.reviewer} ({row.role}), {row.signed_at}" if row else "none",
        "Review due": f"{row.next_review}" if row and row.next_review else "-",
        "Choices": "; ".join(f"{c.label} → {c.reference or c.intent or c.effect}" for c in item.choices) or "-",
        "Sources": "; ".join(f"{s.title} ({s.publisher}, {s.accessed}) {s.url}" for s in item.sources) or "-",
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    parts = [(place, text) for place, text in item.parts() if not place.startswith("choice")]
    texts = "".join(f"<h3>{escape(place)}</h3><pre>{escape(text)}</pre>" for place, text in parts)
    title = f"<h2>{escape(item.id)} ({escape(item.language)})</h2>"
    anchor = f"{item.id}.{item.language}"
    return f'<article id="{escape(anchor)}" lang="{escape(item.language)}">{title}<dl>{listed}</dl>{texts}</article>'
