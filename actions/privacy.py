"""Actions on what is kept about a conversation."""

from rasa_sdk import Action


class Erase(Action):
    """Ask the desk to erase the conversation; the rules run this only on a yes to the confirmation."""

    def name(self):
        return "action_erase"

    def run(self, dispatcher, tracker, domain):
        dispatcher.utter_message(json_message={"effect": {"name": "erase"}})
        return []
