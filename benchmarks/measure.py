"""Alternating measurements, parallel runs, and the files of results."""

from __future__ import annotations

import json
import multiprocessing
import platform
import statistics
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

from a2c.commands import benchmark
from a2c.run.versions import versions

RESULTS = Path(__file__).parent / "results"


def alternate(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, dict[str, Any]]:
    """`a2c.commands.benchmark.alternate`, with progress on standard output."""
    return benchmark.alternate(contestants, rounds, lambda line: print(line, end="", flush=True))


def ratio(rates: dict[str, dict[str, Any]], ours: str, theirs: str) -> dict[str, float]:
    """The ratio of rates within each round: its median, lowest and highest."""
    ratios = [a / b for a, b in zip(rates[ours]["rounds"], rates[theirs]["rounds"], strict=True)]
    return {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}


Label = TypeVar("Label")


def side_by_side(
    train: Callable[..., dict[str, Any]], calls: Mapping[Label, tuple[Any, ...]], jobs: int
) -> Iterator[tuple[Label, dict[str, Any]]]:
    """Calls `train` in separate processes, several at a time; yields each label and result when it is ready.

    An error of one call is raised after all others have ended. After a Ctrl-C, or an error of the caller, calls that
    have not begun are dropped.
    """
    failures: list[Exception] = []
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        labels = {pool.submit(train, *arguments): label for label, arguments in calls.items()}
        try:
            for job in as_completed(labels):
                try:
                    result = job.result()
                except Exception as error:  # noqa: BLE001 - one failing run must not cost hours of others
                    print(f"{labels[job]}: {type(error).__name__}: {error}", flush=True)
                    failures.append(error)
                else:
                    yield labels[job], result
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if failures:
        raise failures[0]


Table = dict[str, dict[str, list[dict[str, Any]]]]
"""Runs in the order of their seeds, by row and column."""

Cell = tuple[str, str, int]
"""A row, a column and a seed."""


def complete(
    train: Callable[..., dict[str, Any]],
    finished: Callable[[], Table],
    save: Callable[[Table], None],
    wanted: Mapping[Cell, tuple[Any, ...]],
    jobs: int,
) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Makes the runs that a table lacks; saves and yields each when it ends.

    Args:
        train: Makes a run, in a separate process.
        finished: Reads the table. It is called again for each run, since other processes may have added theirs.
        save: Writes the table.
        wanted: The arguments of `train` for each run that the table must have.
        jobs: Runs at a time.
    """
    there = finished()
    calls = {
        (row, column, seed): arguments
        for (row, column, seed), arguments in wanted.items()
        if all(run["seed"] != seed for run in there.get(row, {}).get(column, []))
    }
    for (row, column, seed), result in side_by_side(train, calls, jobs):
        table = finished()
        runs = table.setdefault(row, {}).setdefault(column, [])
        runs.append(result)
        runs.sort(key=lambda run: int(run["seed"]))
        save(table)
        yield (row, column, seed), result


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


def kept(name: str) -> dict[str, Any]:
    """The contents of results/<name>.json; empty if there is no such file."""
    path = RESULTS / f"{name}.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return results


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
