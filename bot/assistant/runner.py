"""Runs Rasa's graph of components in an order worked out once.

Rasa 3.6 has dask order the same few components anew for each message and each prediction, a tenth of its share of a
turn (measured 2026-11-23). There is nothing to schedule: they run one after the other in one thread.
"""

from __future__ import annotations

from typing import Any

from rasa.engine.runner.dask import DaskGraphRunner

Plan = list[tuple[str, tuple[str, ...]]]  # each component with those whose output it needs, which come before it


class PlannedGraphRunner(DaskGraphRunner):
    """Rasa's runner, with the order kept for each set of targets."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Take Rasa's arguments."""
        super().__init__(*arguments, **named)
        self._plans: dict[tuple[str, ...], Plan] = {}

    def run(self, inputs: dict[str, Any] | None = None, targets: list[str] | None = None) -> dict[str, Any]:
        """Run what the targets need and return their outputs by name; an error of a component passes through."""
        wanted = tuple(targets or self._graph_schema.target_names)
        if wanted not in self._plans:
            self._plans[wanted] = self._plan(wanted)
        done: dict[str, Any] = {name: (name, value) for name, value in (inputs or {}).items()}
        for name, needs in self._plans[wanted]:
            # As with dask, a component gets the bare name of an input that was not given.
            done[name] = self._instantiated_nodes[name](*(done.get(need, need) for need in needs))
        return dict(done[name] for name in wanted)

    def _plan(self, targets: tuple[str, ...]) -> Plan:
        nodes = self._graph_schema.minimal_graph_schema(list(targets)).nodes
        plan: Plan = []
        placed: set[str] = set()

        def place(name: str) -> None:
            if name in nodes and name not in placed:
                placed.add(name)
                for need in nodes[name].needs.values():
                    place(need)
                plan.append((name, tuple(nodes[name].needs.values())))

        for name in nodes:
            place(name)
        return plan
