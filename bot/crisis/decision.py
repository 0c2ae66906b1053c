"""What the guard decides about one message, and how evidence from several places becomes one decision."""

from collections.abc import Iterable
from dataclasses import dataclass

CATEGORIES = (
    "suicide",
    "self_harm",
    "overdose",
    "withdrawal",
    "violence",
    "harm_to_others",
    "reality_distress",
    "child_danger",
)

# When one message holds several kinds of danger the person gets one card. What can kill within minutes comes first,
# then a child, then danger to life, then what leaves a little time.
PRECEDENCE = (
    "overdose",
    "child_danger",
    "suicide",
    "harm_to_others",
    "violence",
    "withdrawal",
    "self_harm",
    "reality_distress",
)

# The category used when the guard itself fails: its card names the crisis line and the emergency number, and so fits
# any danger best.
FALLBACK_CATEGORY = "suicide"


@dataclass(frozen=True)
class Decision:
    """The answer for one message; it holds no score, and `span` points into the original text.

    `span` is None when there is no evidence to point at: nothing found, the classifier alone spoke over the joined
    window, or the guard failed. `concern` is only ever true without a category.
    """

    category: str | None = None
    concern: bool = False
    about: str = "unclear"
    why: tuple[str, ...] = ()
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Finding:
    """One piece of evidence: a rule that held or the classifier's answer."""

    category: str  # one of CATEGORIES, or "concern"
    about: str
    why: str
    span: tuple[int, int] | None


def combine(findings: Iterable[Finding]) -> Decision:
    """Make one decision of all findings: the most pressing category, every reason, the first span of that category."""
    found = list(findings)
    crises = [finding for finding in found if finding.category in CATEGORIES]
    chosen = min(crises or found, key=_urgency, default=None)
    if chosen is None:
        return Decision()
    same = [finding for finding in found if finding.category == chosen.category]
    # The classifier knows better than the words nearby whom a message is about, also when it names another category.
    about = {finding.about for finding in (crises or found) if finding in same or finding.why == "classifier"}
    about -= {"unclear"}
    return Decision(
        category=chosen.category if crises else None,
        concern=not crises,
        about=about.pop() if len(about) == 1 else ("self" if "self" in about else "unclear"),
        why=tuple(dict.fromkeys(finding.why for finding in (crises or found))),
        span=next((finding.span for finding in same if finding.span), None),
    )


def _urgency(finding: Finding) -> int:
    return PRECEDENCE.index(finding.category) if finding.category in PRECEDENCE else len(PRECEDENCE)
