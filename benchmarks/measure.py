"""Alternating measurements and where they are kept."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from a2c.commands import benchmark
from a2c.run.versions import versions

RESULTS = Path(__file__).parent / "results"


def alternate(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, dict[str, Any]]:
    """`a2c.commands.benchmark.alternate`, saying how it goes."""
    return benchmark.alternate(contestants, rounds, lambda line: print(line, end="", flush=True))


def ratio(rates: dict[str, dict[str, Any]], ours: str, theirs: str) -> dict[str, float]:
    """How many times as fast: the ratio within each round; its median, lowest and highest."""
    ratios = [a / b for a, b in zip(rates[ours]["rounds"], rates[theirs]["rounds"], strict=True)]
    return {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}


def keep(name: str, command: str, results: dict[str, Any]) -> None:
    """Writes results/<name>.json, with the command that made it and the machine."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    machine = {"cpu": cpu, "system": platform.system()}
    path = RESULTS / f"{name}.json"
    path.write_text(
        json.dumps({"command": command, "machine": machine, "versions": versions(), **results}, indent=2) + "\n"
    )
    print(path)


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
