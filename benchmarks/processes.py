"""Processes: CPU time and memory of this process and of those that a writer starts, from Linux's ``/proc``."""

from __future__ import annotations

import os
import time
from pathlib import Path

PROC = Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the third on (proc(5)); empty if the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def descendants() -> set[int]:
    """Ids of this process's children, and theirs: a writer may work in a process of its own."""
    pids = [int(p.name) for p in PROC.iterdir() if p.name.isdigit()]
    parents = {pid: int(stat[1]) for pid in pids if (stat := _stat(pid))}
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def cpu() -> float:
    """CPU time so far of this process and of its living descendants, in s."""
    theirs = sum(int(stat[11]) + int(stat[12]) for pid in descendants() if (stat := _stat(pid)))
    return time.process_time() + theirs / TICK


def resident() -> float:
    """Resident memory of this process and of its descendants, in MB (2**20 bytes)."""
    pages = 0
    for pid in (os.getpid(), *descendants()):
        try:
            pages += int((PROC / str(pid) / "statm").read_text().split()[1])
        except OSError:  # It ended between the two looks.
            continue
    return pages * PAGE / 2**20


def size(folder: Path) -> int:
    """Bytes of all files in a folder and below."""
    return sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file())
