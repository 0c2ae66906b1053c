"""Twilio: signatures, TwiML, the messages API, and what its error codes mean. The only file that knows Twilio."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import ImmutableMultiDict
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse

from bot.channels.reading import cleaned
from bot.desk.sender import Case
from bot.errors import MaybeSent, NotSent, ProviderError

API = "https://api.twilio.com"
API_SECONDS = 5.0
STATUS_PATH = "/sms/twilio/status"
ADDRESS = re.compile(r"\+[1-9]\d{6,14}")
MESSAGE_ID = re.compile(r"[A-Za-z0-9]{2,64}")
MOST_FIELDS = 1000
NEVER_PROCESSED = 503  # of the 5xx the one that says so; after the others a message may exist

# What each code means is at https://www.twilio.com/docs/api/errors/<code>. Read there 2026-11-23: 20429 (never
# processed, "safe to retry"), 20503 (back off and retry), 21606, 21608, 21611, 21612, 21635, 30001, 30002, 30003
# ("retry": often transient), 30004 (blocked, opted out or filtered: it does not say which), 30006 (do not retry a
# landline), 30007, 30022 (slow down), 30500 ("try sending the message again"), 63038 (a rolling day). The pages of
# the others were not to be had and their lines are older knowledge; 30008 as text.com/help/troubleshoot-twilio has
# it (retry after minutes, same day). Twilio changes codes and advises against building on them (its changelog of
# 2024-07-10): an unknown one is not retried.
CASES = {
    "20003": Case("the account's credentials are wrong"),
    "20429": Case("too many requests", retryable=True),
    "20503": Case("the provider is away for a moment", retryable=True),
    "21211": Case("not a phone number"),
    "21408": Case("this account may not text that country"),
    "21606": Case("our number cannot text"),
    "21608": Case("a trial account texts only verified numbers"),
    "21610": Case("the person opted out at the provider", opted_out=True),
    "21611": Case("our number's queue is full", retryable=True),
    "21612": Case("no way from our number to that one"),
    "21614": Case("not a mobile number"),
    "21617": Case("the text is too long"),
    "21635": Case("a landline"),
    "30001": Case("queue overflow", retryable=True),
    "30002": Case("the account is suspended"),
    "30003": Case("the phone is off or out of reach", retryable=True),
    "30004": Case("the phone or carrier blocks messages"),
    "30005": Case("the number is unknown or no longer in use"),
    "30006": Case("a landline, or a carrier that cannot be reached"),
    "30007": Case("filtered by the carrier"),
    "30008": Case("unknown error at the carrier", retryable=True),
    "30022": Case("faster than the carriers allow this campaign", retryable=True),
    "30032": Case("our toll-free number is not verified"),
    "30034": Case("our number is not registered for A2P 10DLC"),
    "30500": Case("an error inside the provider", retryable=True),
    "63038": Case("the account's daily limit is reached"),
}
UNKNOWN = Case("a code we do not know")
STATES = {
    **dict.fromkeys(("accepted", "scheduled", "queued", "sending", "sent"), "sent"),
    **dict.fromkeys(("delivered", "read"), "delivered"),
    **dict.fromkeys(("failed", "undelivered", "canceled"), "failed"),
}
Form = ImmutableMultiDict[str, str]
OPTED = {"STOP": "stop", "START": "start", "HELP": "help"}


@dataclass(frozen=True)
class Received:
    """An inbound text as the provider told it. `address` is None when it does not come from a phone number."""

    message_id: str | None
    address: str | None
    text: str
    media: bool
    opted: str | None


@dataclass(frozen=True)
class Status:
    """What the provider says of a message it was given: a state of ours, its error code, its own id."""

    state: str
    code: str
    message_id: str


def read_form(raw: bytes) -> Form:
    """Read a form-encoded body, whatever its shape; what cannot be read is not there."""
    try:
        pairs = parse_qsl(
            raw.decode("utf-8", errors="replace"), keep_blank_values=True, errors="replace", max_num_fields=MOST_FIELDS
        )
    except ValueError:
        pairs = []
    return ImmutableMultiDict(pairs)


def read_message(form: Form) -> Received:
    """Return the text message in a webhook's form; missing or odd fields are None."""
    address, message_id = form.get("From", ""), form.get("MessageSid") or form.get("SmsSid") or ""
    media = form.get("NumMedia", "0")
    return Received(
        message_id if MESSAGE_ID.fullmatch(message_id) else None,
        address if ADDRESS.fullmatch(address) else None,
        cleaned(form.get("Body", "")),
        media.isdecimal() and media.strip("0") != "",
        OPTED.get(form.get("OptOutType", "").upper()),
    )


def read_status(form: Form) -> Status | None:
    """Return what a status callback says, or None when it says nothing we know."""
    state = STATES.get(form.get("MessageStatus", ""))
    code, message_id = form.get("ErrorCode", ""), form.get("MessageSid", "")
    if state is None or not MESSAGE_ID.fullmatch(message_id):
        return None
    return Status(state, code if re.fullmatch(r"\d{1,8}", code) else "", message_id)


def twiml(messages: Sequence[tuple[str, str | None]], base_url: str) -> str:
    """Return the answer to a webhook: texts, each with the address for its status when it is in the outbox."""
    response = MessagingResponse()
    for text, posting in messages:
        callback = {"status_callback": status_url(base_url, posting)} if posting else {}
        response.message(text, **callback)
    return str(response)


def status_url(base_url: str, posting: str) -> str:
    return f"{base_url}{STATUS_PATH}?id={posting}"


class Twilio:
    """One Twilio account and number. `public_url` is where it reaches us; without one, no status is asked for."""

    def __init__(self, account_sid: str, token: str, number: str, api_url: str, public_url: str) -> None:
        self._account_sid, self._token, self._number = account_sid, token, number
        self._api_url, self._public_url = api_url, public_url
        self._validator = RequestValidator(token)
        self._client: Any = None

    def is_signed(self, url: str, form: Form, signature: str) -> bool:
        """Whether a request comes from Twilio: its signature over our address and the form, by Twilio's library."""
        try:
            return bool(self._validator.validate(url, form, signature))
        except ValueError:  # an address with an impossible port
            return False

    def send(self, address: str, text: str, posting: str) -> str:
        """Send a text. NotSent: it surely was not sent; MaybeSent: it may have been."""
        callback = {"status_callback": status_url(self._public_url, posting)} if self._public_url else {}
        try:
            message = self._messages().create(to=address, from_=self._number, body=text, **callback)
        except Exception as error:
            raise self._failure(error) from None
        return str(message.sid)

    def find(self, address: str, text: str, since: datetime) -> list[str]:
        """Return the ids of such texts the provider has had since then and did not give up, newest first."""
        try:
            found = self._messages().list(to=address, from_=self._number, limit=100)
        except Exception as error:
            raise self._failure(error) from None
        return [
            str(each.sid)
            for each in found
            if (each.body or "").strip() == text.strip()
            and (each.date_created or each.date_sent or since) >= since
            and STATES.get(str(each.status)) != "failed"
        ]

    def case(self, code: str) -> Case:
        return CASES.get(code, UNKNOWN)

    def _failure(self, error: Exception) -> ProviderError:
        """Return what a failed call means; the error itself may hold the number and is dropped."""
        from requests import ConnectionError as NoConnection
        from requests import ConnectTimeout
        from twilio.base.exceptions import TwilioRestException

        if isinstance(error, TwilioRestException):
            return self._refusal(int(error.status), str(error.code or ""))
        never_connected = isinstance(error, NoConnection) and "NewConnectionError" in repr(error)
        if never_connected or isinstance(error, ConnectTimeout):
            return NotSent("unreachable", retryable=True)
        return MaybeSent(f"the provider did not answer ({type(error).__name__})")

    def _refusal(self, status: int, code: str) -> ProviderError:
        if status >= 500 and status != NEVER_PROCESSED and code not in CASES:
            return MaybeSent(f"the provider answered {status}")
        case = self.case(code)
        retryable = case.retryable or (code not in CASES and status in (429, NEVER_PROCESSED))
        return NotSent(code or str(status), retryable=retryable, opted_out=case.opted_out)

    def _messages(self) -> Any:
        """Return the API's messages; the library is loaded at the first use, for it takes a second."""
        if self._client is None:
            from twilio.http.http_client import TwilioHttpClient
            from twilio.rest import Client

            http = TwilioHttpClient(timeout=API_SECONDS)
            request = http.request

            def redirected(method: str, url: str, *arguments: Any, **named: Any) -> Any:
                return request(method, url.replace(API, self._api_url, 1), *arguments, **named)

            http.request = redirected
            self._client = Client(self._account_sid, self._token, http_client=http)
        return self._client.messages
