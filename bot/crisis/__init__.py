"""The crisis guard: recognises crisis language in one message, in memory, without I/O after load."""

from bot.crisis.decision import CATEGORIES, Decision
from bot.crisis.guard import Guard

__all__ = ["CATEGORIES", "Decision", "Guard"]
