"""Actions that bring in a person."""

from rasa_sdk import Action


class RequestCounselor(Action):
    """Ask the desk for a counselor and say that the request was passed on."""

    def name(self):
        return "action_request_counselor"

    def run(self, dispatcher, tracker, domain):
        dispatcher.utter_message(json_message={"effect": {"name": "request_counselor"}})
        dispatcher.utter_message(json_message={"content": "counselor_requested"})
        return []
