"""The desk's numbers. Labels are closed lists: no conversation, no text, no address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bot.content import Library
from bot.content.status import SOON_DAYS

FLAG_KINDS = ("crisis", "request")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


class Metrics:
    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.messages = Counter("handrail_messages", "Inbound messages", ["channel"], registry=registry)
        self.crises = Counter(
            "handrail_crises", "Crisis language heard, by whom", ["category", "heard_by"], registry=registry
        )
        self.turns = Counter("handrail_turns", "Turns by outcome", ["outcome"], registry=registry)
        self.turn_seconds = Histogram(
            "handrail_turn_seconds", "Acknowledged to stored", buckets=BUCKETS, registry=registry
        )
        self.assess_seconds = Histogram("handrail_assess_seconds", "One assessment", buckets=BUCKETS, registry=registry)
        self.refusals = Counter("handrail_refusals", "Refused requests", ["code"], registry=registry)
        self.store_away = Counter("handrail_store_away", "Calls the record did not answer", registry=registry)
        self.spooled = Gauge("handrail_spooled", "Messages waiting in the spool", registry=registry)
        self.outbox = Gauge("handrail_outbox", "Messages to phones by state", ["state"], registry=registry)
        self.streams = Gauge("handrail_streams", "Open event streams", registry=registry)
        self.guard_failures = Counter("handrail_guard_failures", "Assessments that raised", registry=registry)
        self.loop_lag_seconds = Gauge("handrail_loop_lag_seconds", "How late the event loop runs", registry=registry)
        self.content_due = Gauge(
            "handrail_content_due", f"Texts to be reviewed again within {SOON_DAYS} days", registry=registry
        )
        self.content_refused = Gauge("handrail_content_refused", "Texts that are not served", registry=registry)
        self.hotline_checks_due = Gauge("handrail_hotline_checks_due", "Hotlines to check again", registry=registry)

        self.part_up = Gauge(
            "handrail_part_up", "1 while a part is whole, as /readyz says", ["part"], registry=registry
        )
        self.rasas_away = Gauge(
            "handrail_rasas_away", "Rasas of HANDRAIL_RASA_URL that do not answer", registry=registry
        )
        self.flags_open = Gauge("handrail_flags_open", "Open flags nobody has taken", ["kind"], registry=registry)
        self.flag_oldest_seconds = Gauge(
            "handrail_flag_oldest_seconds", "How long the longest of them has waited", ["kind"], registry=registry
        )
        self.notices = Counter(
            "handrail_notices", "Notices of flags nobody takes, by way", ["way", "outcome"], registry=registry
        )

    def show_flags(self, waiting: Mapping[str, tuple[int, float]]) -> None:
        """Set the gauges of open flags from count and longest wait by kind."""
        for kind in FLAG_KINDS:
            count, seconds = waiting.get(kind, (0, 0.0))
            self.flags_open.labels(kind).set(count)
            self.flag_oldest_seconds.labels(kind).set(seconds)

    def show_content(self, library: Library, now: datetime) -> None:
        """Set the gauges of the reviewed content as it stands."""
        self.content_due.set(library.due_within(SOON_DAYS, now))
        self.content_refused.set(len(library.problems))
        self.hotline_checks_due.set(library.checks_due(now))
