"""What running processes use: memory and processor time, from /proc (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for each in found:
        try:
            found += [int(child) for child in Path(f"/proc/{each}/task/{each}/children").read_text().split()]
        except OSError:
            continue
    return found


def memory_mb(pids: Iterable[int]) -> float:
    """Return the proportional memory of processes, in MB: what several share is counted once (Pss)."""
    kilobytes = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024


def processor_seconds(pids: Iterable[int]) -> float:
    """Return the processor time processes have used so far."""
    return sum(_field(pid, 11) + _field(pid, 12) for pid in pids) / TICKS


def in_sessions(sessions: Iterable[int]) -> list[int]:
    """Return the processes of these sessions."""
    return [pid for pid in _all() if _field(pid, 3) in sessions]


def named(command: str) -> list[int]:
    """Return the processes of this command name."""
    found = []
    for pid in _all():
        try:
            if Path(f"/proc/{pid}/comm").read_text().strip() == command:
                found.append(pid)
        except OSError:
            continue
    return found


def _all() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def _field(pid: int, number: int) -> int:
    """Return a number of /proc/PID/stat, counted from 0 after the command's name; 0 when the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[number])
    except (OSError, IndexError):
        return 0
