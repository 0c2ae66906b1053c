"""Handrail's exceptions, drawn once. Each message names what is wrong and the remedy, never a person's words.

HandrailError
├── SettingsError         a HANDRAIL_* variable, key file or folder is unusable      -> `handrail doctor` lists all
├── ContentError          a content file, sign-off or reference is unusable          -> `handrail content check`
├── GuardError            the crisis guard's own files are unusable                  -> reinstall; the guard fails safe
├── StoreError            the record cannot be read or written                       -> the desk spools and answers
│   ├── StoreAway         ... for now: locked, unreachable, full, too slow           -> retried by the desk
│   └── UnreadableBody    ... a stored body does not open with any key               -> restore the key file
├── AssistantError        Rasa gave no usable answer                                 -> a reviewed fallback is said
│   ├── AssistantAway     ... it is not there, or still loading                      -> supervisor restarts it
│   └── AssistantRefused  ... it refused the request (bad state, bad secret)         -> the state is started afresh
├── ProviderError         an SMS provider did not take a message                      -> docs/sms.md
│   ├── NotSent           ... and surely has not: retried when its case says so       -> the outbox shows code and state
│   └── MaybeSent         ... or did: nobody here can say                             -> the provider is asked later
├── OwnerUnreached        the flag owner's webhook or mail server took no notice      -> tried again; docs/operations.md
├── AccountError          a counselor's account cannot be made or changed as asked    -> the message says what to do
└── Refusal               an inbound request cannot be accepted                      -> answered with `replies`
"""

from __future__ import annotations


class HandrailError(Exception):
    """Anything Handrail raises on purpose."""


class SettingsError(HandrailError):
    """A setting, key file or folder is unusable."""


class ContentError(HandrailError):
    """A content file, sign-off or reference is unusable."""


class GuardError(HandrailError):
    """The crisis guard's own files are unusable."""


class StoreError(HandrailError):
    """The record cannot be read or written."""


class StoreAway(StoreError):
    """The record cannot be reached for now: locked, unreachable, full or too slow."""


class UnreadableBody(StoreError):
    """A stored body opens with none of the keys."""


class AssistantError(HandrailError):
    """Rasa gave no usable answer."""


class AssistantAway(AssistantError):
    """Rasa is not there, still loading, or too slow."""


class AssistantRefused(AssistantError):
    """Rasa refused the request."""


class ProviderError(HandrailError):
    """An SMS provider did not take a message."""


class NotSent(ProviderError):
    """A message surely was not sent. `code` is the provider's; `opted_out`: the number takes no more from us."""

    def __init__(self, code: str, *, retryable: bool, opted_out: bool = False) -> None:
        super().__init__(f"the provider refused a message ({code}); docs/sms.md")
        self.code, self.retryable, self.opted_out = code, retryable, opted_out


class MaybeSent(ProviderError):
    """Nobody here can say whether a message was sent."""


class OwnerUnreached(HandrailError):
    """The flag owner's webhook or mail server did not take a notice."""


class AccountError(HandrailError):
    """A counselor's account cannot be made or changed as asked."""


class Refusal(HandrailError):
    """An inbound request cannot be accepted.

    `status` is the HTTP status, `code` a stable name, `item` the reviewed item to answer with.
    """

    def __init__(self, status: int, code: str, message: str, remedy: str, item: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.remedy, self.item = status, code, message, remedy, item
