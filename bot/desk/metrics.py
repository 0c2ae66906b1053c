"""The desk's numbers. Labels are closed lists: no conversation, no text, no address."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
        self.streams = Gauge("handrail_streams", "Open event streams", registry=registry)
        self.guard_failures = Counter("handrail_guard_failures", "Assessments that raised", registry=registry)
        self.loop_lag_seconds = Gauge("handrail_loop_lag_seconds", "How late the event loop runs", registry=registry)
