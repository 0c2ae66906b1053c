"""The content library: load, check, sign, resolve and render reviewed content. Pure: the clock is passed in."""

from bot.content.item import Choice, Item, parse_item
from bot.content.library import ContentMissing, Library
from bot.content.problem import Problem
from bot.content.rendering import Rendering, numbered
from bot.content.segments import Segments, segment

__all__ = [
    "Choice",
    "ContentMissing",
    "Item",
    "Library",
    "Problem",
    "Rendering",
    "Segments",
    "numbered",
    "parse_item",
    "segment",
]
