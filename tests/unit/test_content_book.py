"""The book holds every item, each once, with its sign-off, and every link of its contents leads somewhere."""

import re
from datetime import UTC, datetime

from bot.content.book import write_book
from bot.content.shelf import read_shelf
from bot.settings import ROOT


def test_the_book_holds_every_text_and_its_contents_lead_to_them(tmp_path):
    target = tmp_path / "book.html"
    write_book(ROOT / "content", target, now=datetime.now(UTC))
    book = target.read_text(encoding="utf-8")
    items = {f"{item.id}.{item.language}" for item in read_shelf(ROOT / "content").items}
    assert set(re.findall(r'<article id="([^"]+)"', book)) == items
    assert set(re.findall(r'<a href="#([^"]+)"', book)) == items
    assert book.count("<dt>Sign-off</dt>") == len(items)
    assert "<script" not in book
    assert 'src="' not in book
