"""The guard: normalise, rules, classifier, decision; it answers whatever fails."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bot.crisis.decision import CATEGORIES, FALLBACK_CATEGORY, Decision, Finding, combine
from bot.crisis.rules import Rulebook

RULES_FOLDER = Path(__file__).parent / "rules"
MODEL_FOLDER = Path(__file__).parent / "model"
RECENT_TEXTS = 2
PLAIN_CHARACTERS = 300


class Classifier(Protocol):
    """What the guard needs of a statistical classifier."""

    def classify(self, text: str, recent: Sequence[str]) -> list[Finding]: ...


class Guard:
    """Assesses messages; build it with `Guard.load()` once and share it, it keeps no state between messages."""

    def __init__(
        self,
        rulebook: Rulebook | None,
        classifier: Classifier | None = None,
        *,
        rules_health: str = "ok",
        classifier_health: str = "absent",
    ) -> None:
        self._rulebook = rulebook
        self._classifier = classifier
        self._health = {"rules": rules_health, "classifier": classifier_health if classifier is None else "ok"}

    @classmethod
    def load(cls, folder: Path = RULES_FOLDER, model: Path | None = MODEL_FOLDER) -> "Guard":
        """Read rules and classifier; never raises, health() says what failed.

        With unreadable rules every message counts as crisis; without a classifier (or with `model` None) the rules
        answer alone.
        """
        classifier, classifier_health = _load_classifier(model)
        try:
            rulebook, rules_health = Rulebook.load(folder), "ok"
        except Exception as error:  # whatever is wrong, people must still be answered
            rulebook, rules_health = None, f"failed: {type(error).__name__} while loading {folder.name}"
        return cls(rulebook, classifier, rules_health=rules_health, classifier_health=classifier_health)

    def health(self) -> dict[str, str]:
        """Say for rules and classifier: "ok", "absent" (classifier only) or "failed: ..."; never holds message text."""
        return dict(self._health)

    def hears_plainly(self, text: str) -> bool:
        """Whether the rules hear danger in a short text (0.1 ms): it should be assessed before others. Never raises."""
        if self._rulebook is None or len(text) > PLAIN_CHARACTERS:
            return False
        try:
            return any(finding.category in CATEGORIES for finding in self._rulebook.find(text))
        except Exception:  # `assess` says so, and makes it a crisis
            return False

    def assess(self, text: str, lang: str | None, recent: Sequence[str] = ()) -> Decision:
        """Decide about one inbound text; `recent` are up to two texts the same person sent before it, oldest first.

        `lang` is a hint: rules of both languages always run, since people mix them and hints are often wrong.
        When the rules fail the message counts as crisis; when the classifier fails the rules' answer stands.
        """
        earlier = list(recent)[-RECENT_TEXTS:]
        try:
            if self._rulebook is None:
                return _failed("rules-failed")
            findings = self._rulebook.find(text, earlier)
        except Exception as error:  # fail safe, see the docstring
            self._health["rules"] = f"failed: {type(error).__name__} while assessing"
            return _failed("rules-failed")
        if self._classifier is not None:
            try:
                findings += self._classifier.classify(text, earlier)
            except Exception as error:  # the rules' answer stands
                self._health["classifier"] = f"failed: {type(error).__name__} while assessing"
        return combine(findings)


def _load_classifier(model: Path | None) -> tuple[Classifier | None, str]:
    if model is None:
        return None, "absent"
    try:
        from bot.crisis.classifier import Classifier as Encoder

        return Encoder.load(model), "ok"
    except Exception as error:  # the rules answer alone, and readiness says so
        return None, f"failed: {type(error).__name__} while loading {model.name}"


def _failed(why: str) -> Decision:
    return Decision(category=FALLBACK_CATEGORY, about="unclear", why=(why,))
