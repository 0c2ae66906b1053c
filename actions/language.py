"""The action that changes the language of the conversation."""

import re
import unicodedata

from rasa_sdk import Action

NAMES = {"en": ("english", "ingles"), "es": ("spanish", "espanol", "castellano")}
OTHER = {"en": "es", "es": "en"}
REFUSED = re.compile(
    r"\b(not|cannot|can'?t|don'?t|no (hablo|entiendo|leo|escribo))( \w+){0,3} (english|spanish|ingles|espanol)\b"
    r"|\b(english|spanish|ingles|espanol) (is not|isn'?t|no es|is bad|is poor)\b"
)


class SetLanguage(Action):
    """Change to the language the person asked for; asked for none that exists here, offer the two there are."""

    def name(self):
        return "action_set_language"

    def run(self, dispatcher, tracker, domain):
        language = asked_for(tracker)
        if language is None:
            dispatcher.utter_message(json_message={"content": "language_offer"})
        else:
            dispatcher.utter_message(json_message={"effect": {"name": "set_language", "language": language}})
            dispatcher.utter_message(json_message={"content": "menu"})
        return []


def asked_for(tracker):
    """Return "en" or "es", from a tapped choice or from the words ("no hablo inglés" asks for Spanish), or None."""
    chosen = next(tracker.get_latest_entity_values("language"), None)
    if chosen in NAMES:
        return chosen
    text = plain(tracker.latest_message.get("text") or "")
    named = [language for language, names in NAMES.items() if any(name in text for name in names)]
    if len(named) != 1:
        return None
    return OTHER[named[0]] if REFUSED.search(text) else named[0]


def plain(text):
    """Return `text` in lower case, without accents, with straight apostrophes."""
    straight = text.lower().replace("\u2019", "'")
    return unicodedata.normalize("NFKD", straight).encode("ascii", "ignore").decode()
