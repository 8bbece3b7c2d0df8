"""Reads what is known of one run from its folder. What the folder lacks is None or empty here, never an error."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c import files
from a2c.errors import UserError
from a2c.report.lines import LARGEST
from a2c.report.settings import Setting, command_of, origins_of, settings_table
from a2c.report.statistics import Estimate, estimate_of_mean
from a2c.run.folder import Run

Floats = NDArray[np.float64]

_MOST_EVENTS = 200


class Evaluated(NamedTuple):
    """A policy's result in the evaluation at the end of its run."""

    mean: Estimate
    """The mean return, with an interval over episodes."""
    std: float
    lowest: float
    highest: float
    mean_length: float | None
    episodes: int
    unfinished: int
    how: str
    """greedy or sampled"""
    returns: Floats
    """[E] of each episode; [0] if the folder does not store them."""


class OfCritic(NamedTuple):
    """The critic's value compared with the discounted return that followed."""

    gamma: float
    rewards: str
    steps: int
    explained_variance: float | None
    mean_error: float | None
    episodes: list[tuple[Floats, Floats, Floats]]
    """Of each episode: steps, value, return."""


class OfAction(NamedTuple):
    """The distribution of one part of the actions."""

    name: str
    labels: list[str]
    """The choices; empty for real numbers."""
    edges: Floats
    """[B + 1] edges of bins; empty for choices."""
    counts: Floats
    note: str


class Event(NamedTuple):
    """Something that happened to the run."""

    time: str
    steps: str
    kind: str
    details: str


class Facts(NamedTuple):
    """Everything known of a run."""

    run: Run
    rows: list[dict[str, Any]]
    steps: int
    state: str
    """How the run ended or how far it is, as the rest of a sentence that begins with "This run"."""
    has_ended: bool
    best: Evaluated | None
    final: Evaluated | None
    best_steps: int | None
    """The steps after which the best policy was saved."""
    train_seconds: float | None
    """The time of all updates."""
    seconds: dict[str, float]
    """The time of each part."""
    was_evaluated: bool
    """Whether it was evaluated at its end, even if the result is not finite."""
    steps_per_second: float | None
    critic: OfCritic | None
    actions: list[OfAction]
    events: list[Event]
    is_exact: bool | None
    """None if the folder does not say yet."""
    inexact_because: list[str]
    made_with: dict[str, str]
    machine: dict[str, str]
    settings: list[Setting]
    """The settings that are not the defaults."""
    defaults: list[Setting]
    command: str
    """The command that repeats the run; "" if none can."""
    threshold: float | None
    """The return at which Gymnasium calls the task solved."""
    faults: list[str]
    """What could not be read, and why."""


def facts_of(run: Run) -> Facts:
    """Reads a run's folder. It makes no environment and imports none of its modules."""
    faults: list[str] = []
    summary, episodes, values = (
        _read(lambda: run.summary, run.path / "summary.json", faults),
        _read(lambda: run.episodes, run.path / "evaluation.json", faults),
        _read(lambda: files.read_json(run.config_path), run.config_path, faults),
    )
    rows: list[dict[str, Any]] = []
    try:
        rows = run.metrics()
    except UserError as error:
        faults.append(str(error))
    steps = summary.get("steps")
    if not isinstance(steps, int) or isinstance(steps, bool):
        steps = max([0, *(row["steps"] for row in rows)])
    origins = origins_of(values)
    differing, defaults = settings_table(run.config, origins)
    of_best, of_final = (_mapping(episodes.get(name)) for name in ("best", "final"))
    evaluated = [
        _evaluated(_mapping(summary.get(name)), of_it)
        for name, of_it in (("evaluation", of_best), ("final_evaluation", of_final))
    ]
    best_steps = _mapping(summary.get("best")).get("steps")
    return Facts(
        run=run,
        rows=rows,
        steps=steps,
        state=_state(run, summary, steps),
        has_ended=run.is_finished,
        best=evaluated[0],
        final=evaluated[1],
        best_steps=best_steps if isinstance(best_steps, int) else None,
        train_seconds=number(summary.get("train_seconds")),
        seconds=_seconds(summary),
        was_evaluated="evaluation" in summary or "final_evaluation" in summary,
        steps_per_second=number(summary.get("steps_per_second")),
        critic=_critic(_mapping(of_final.get("critic") or of_best.get("critic"))),
        actions=_actions(of_best.get("actions") or of_final.get("actions")),
        events=_events(run.path / "events.jsonl", faults),
        is_exact=summary["exact"] if isinstance(summary.get("exact"), bool) else None,
        inexact_because=[str(reason) for reason in _list(summary.get("inexact_because"))],
        made_with=_strings(summary.get("versions") or values.get("versions"))
        | ({"engine": str(summary["engine"])} if "engine" in summary else {}),
        machine=_strings(summary.get("machine")) | _strings({"environments": summary.get("vectorization")}),
        settings=differing,
        defaults=defaults,
        command="" if run.is_callable else command_of(run.config, origins),
        threshold=_threshold(run),
        faults=faults,
    )


def number(value: object) -> float | None:
    """The value if it is a finite number of at most `LARGEST`; otherwise None."""
    if isinstance(value, float | int) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            if math.isfinite(value) and abs(value) <= LARGEST:
                return float(value)
    return None


def numbers(values: object) -> Floats:
    """The list as an array, with NaN for whatever is not a number."""
    found = [number(value) for value in _list(values)]
    return np.array([math.nan if value is None else value for value in found], np.float64)


def _read(read: Callable[[], Any], path: Path, faults: list[str]) -> dict[str, Any]:
    """A JSON file of the run. One that does not exist yet is no fault."""
    if not path.exists():
        return {}
    try:
        return _mapping(read())
    except UserError as error:
        faults.append(str(error))
        return {}


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _strings(value: object) -> dict[str, str]:
    return {str(name): str(one) for name, one in _mapping(value).items() if one is not None}


def _seconds(summary: Mapping[str, Any]) -> dict[str, float]:
    """The time of each part that the summary lists."""
    listed = list(_mapping(summary.get("seconds")).items())[:12]
    known = {str(name).replace("_", " "): number(value) for name, value in listed}
    parts = {name: seconds for name, seconds in known.items() if seconds is not None and seconds >= 0}
    training, evaluation = number(summary.get("train_seconds")) or 0.0, number(summary.get("eval_seconds")) or 0.0
    rest = training - sum(seconds for name, seconds in parts.items() if name not in ("evaluation", "saving"))
    if rest > 0.01 * training:
        parts["updates" if not parts else "the rest of the updates"] = rest
    if evaluation > 0:
        parts.setdefault("evaluation", evaluation)
    return parts


def _state(run: Run, summary: Mapping[str, Any], steps: int) -> str:
    if run.is_finished:
        return "came to its end"
    share = f"{steps:,} of {run.config.total_steps:,} steps"
    if summary.get("stopped_by") is not None:
        return f"was stopped by {summary['stopped_by']} after {share}"
    return f"has not ended: {share} so far; it is still training, or was killed"


def _evaluated(summary: Mapping[str, Any], episodes: Mapping[str, Any]) -> Evaluated | None:
    mean, std, low, high = (number(summary.get(name)) for name in ("mean", "std", "min", "max"))
    count = summary.get("episodes")
    if mean is None or std is None or low is None or high is None or not isinstance(count, int) or count < 1:
        return None
    returns = numbers(episodes.get("returns"))
    returns = returns[np.isfinite(returns)]
    if len(returns) == count:
        estimate = estimate_of_mean(returns)
    else:  # The returns are not stored: take the interval of a normal distribution.
        returns = returns[:0]
        half = 1.96 * abs(std) / math.sqrt(count)
        estimate = Estimate(mean, mean - half, mean + half)
    unfinished = summary.get("unfinished")
    return Evaluated(
        mean=estimate,
        std=std,
        lowest=low,
        highest=high,
        mean_length=number(summary.get("mean_length")),
        episodes=count,
        unfinished=unfinished if isinstance(unfinished, int) else 0,
        how="sampled" if summary.get("greedy") is False else "greedy",
        returns=returns,
    )


def _critic(values: Mapping[str, Any]) -> OfCritic | None:
    gamma, steps = number(values.get("gamma")), number(values.get("steps"))
    episodes = []
    for episode in map(_mapping, _list(values.get("episodes"))[:8]):
        step, value, came = (numbers(episode.get(name)) for name in ("step", "value", "return"))
        if len(step) == len(value) == len(came) > 0:
            is_there = np.isfinite(step) & np.isfinite(value) & np.isfinite(came)
            episodes.append((step[is_there], value[is_there], came[is_there]))
    if gamma is None or steps is None or not any(len(step) for step, _, _ in episodes):
        return None
    return OfCritic(
        gamma, str(values.get("rewards")), int(steps),
        number(values.get("explained_variance")), number(values.get("mean_error")),
        [episode for episode in episodes if len(episode[0])],
    )  # fmt: skip


def _actions(values: object) -> list[OfAction]:
    found = []
    for part in map(_mapping, _list(values)[:12]):
        counts = numbers(part.get("counts"))
        if not len(counts) or not np.isfinite(counts).all() or counts.min() < 0 or not 0 < counts.sum() <= LARGEST:
            continue
        edges, labels = numbers(part.get("edges")), [str(value)[:20] for value in _list(part.get("values"))]
        name, of = str(part.get("name") or ""), part.get("of")
        if part.get("kind") == "choice" and len(labels) == len(counts):
            note = f"the {len(labels)} most frequent of {of:,} choices" if isinstance(of, int) else ""
            found.append(OfAction(name, labels, np.zeros(0), counts, note))
        elif len(edges) == len(counts) + 1 and np.isfinite(edges).all() and (np.diff(edges) > 0).all():
            mean, std = number(part.get("mean")), number(part.get("std"))
            note = "" if mean is None or std is None else f"mean {mean:.3g}, standard deviation {std:.3g}"
            found.append(OfAction(name, [], edges, counts, note))
    return found


def _events(path: Path, faults: list[str]) -> list[Event]:
    """The last `_MOST_EVENTS` events."""
    if not path.exists():
        return []
    try:
        lines = files.read_bytes(path).splitlines()
    except UserError as error:
        faults.append(str(error))
        return []
    found = []
    for line in lines[-_MOST_EVENTS:]:
        with contextlib.suppress(ValueError, RecursionError):  # The last line may have been cut by a crash.
            event = json.loads(line)
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                steps = number(event.get("steps"))
                time = str(event.get("time", ""))[:19].replace("T", " ")
                said = event["event"].replace("_", " ")
                found.append(Event(time, "" if steps is None else f"{steps:,.0f}", said, str(event.get("details", ""))))
    return found


def _threshold(run: Run) -> float | None:
    """The reward threshold of Gymnasium's own environments; for others it would have to import their module."""
    if run.is_callable or run.config.env_kwargs:
        return None
    spec = gymnasium.registry.get(run.config.env_id)
    is_gymnasiums_own = spec is not None and str(spec.entry_point).startswith("gymnasium.envs.")
    return number(spec.reward_threshold) if spec is not None and is_gymnasiums_own else None
