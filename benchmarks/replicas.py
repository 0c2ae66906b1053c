"""Two desks and two Rasas against one of each, behind nginx on PostgreSQL: turns a second, and what each part uses.

    .venv/app/bin/python -m benchmarks.replicas [--seconds 20] [--clients 20]

All real processes on this machine, the client too; the processor time a turn says which part is full first. Needs nginx
and PostgreSQL (HANDRAIL_TEST_POSTGRES_URL, or the default port). Writes benchmarks/results/replicas.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from benchmarks.beside_stock import DeskTalker, closed_loop, quantile
from benchmarks.processes import memory_mb, named, processor_seconds, tree
from benchmarks.results import write_result
from tests.conftest import fresh_postgres
from tests.replicas import Replicas

KINDS = ("desk", "rasa", "actions", "console", "nginx")
POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"


class Behind:
    """People who talk through nginx."""

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas

    async def talker(self, _: str) -> DeskTalker:
        talker = DeskTalker(self.replicas.port)
        await talker.begin()
        return talker


def measure(count: int, clients: int, seconds: float) -> dict[str, float]:
    """Return the figures of `count` of each kind."""
    limits = {"messages_per_minute": 1_000_000, "conversations_per_minute": 1_000_000}
    server = os.environ.get("HANDRAIL_TEST_POSTGRES_URL", POSTGRES)
    with tempfile.TemporaryDirectory() as folder, fresh_postgres(server) as url:
        replicas = Replicas(Path(folder), url, count=count, **limits).begin()
        try:
            behind = Behind(replicas)
            asyncio.run(closed_loop(behind, 4, 3.0))
            processes = {kind: [each for pid in replicas.pids(kind) for each in tree(pid)] for kind in KINDS}
            processes |= {"postgres": named("postgres")}
            before = {kind: processor_seconds(pids) for kind, pids in processes.items()}
            times, rate = asyncio.run(closed_loop(behind, clients, seconds))
            found = {"rate": rate, "p50": quantile(times, 0.5), "p99": quantile(times, 0.99)}
            for kind, pids in processes.items():
                found[f"cpu {kind}"] = (processor_seconds(pids) - before[kind]) / len(times)
            for kind in KINDS:
                found[f"memory {kind}"] = memory_mb(processes[kind]) / count
            found["memory nginx"] *= count
            one, _ = asyncio.run(closed_loop(behind, 1, seconds / 2))
            found["p50 alone"] = quantile(one, 0.5)
        finally:
            replicas.stop()
    print({name: round(value, 4) for name, value in found.items()}, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--dry", action="store_true", help="print and write nothing")
    arguments = parser.parse_args()
    one, two = (measure(count, arguments.clients, arguments.seconds) for count in (1, 2))

    def row(name: str, key: str, form: str, scale: float = 1.0) -> list[str]:
        return [name, *(form.format(found[key] * scale) for found in (one, two))]

    rows = [
        row(f"turns a second, {arguments.clients} clients", "rate", "{:.1f}"),
        row(f"turn p50, {arguments.clients} clients", "p50", "{:.0f} ms", 1e3),
        row(f"turn p99, {arguments.clients} clients", "p99", "{:.0f} ms", 1e3),
        row("turn p50, 1 client", "p50 alone", "{:.0f} ms", 1e3),
        *(row(f"processor time a turn: {kind}", f"cpu {kind}", "{:.1f} ms", 1e3) for kind in (*KINDS, "postgres")),
        *(row(f"memory of one: {kind}", f"memory {kind}", "{:.0f} MB") for kind in KINDS),
    ]
    if arguments.dry:
        print("\n".join(" | ".join(each) for each in rows))
        return
    note = (
        f"All processes, PostgreSQL and the client share the machine's {os.cpu_count()} cores: with no more than "
        "that a second pair adds safety, not speed. Processor time is what a part used under load, by turns taken."
    )
    write_result("replicas", "Two of each against one of each", ("figure", "one of each", "two of each"), rows, note)


if __name__ == "__main__":
    main()
