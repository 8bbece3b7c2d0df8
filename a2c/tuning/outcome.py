"""The outcome of a study: its verdict, its JSON, and a preset with the best settings."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from a2c.errors import shown
from a2c.preset_files import write_preset
from a2c.tuning.study import Study, Trial
from a2c.tuning.unseen import Unseen

PRESET = "preset.toml"
"""The file's name in a study's folder."""


def verdict(best: Trial, unseen: Unseen | None) -> str:
    """A sentence on whether tuning improved anything."""
    if best.is_default:
        return "No trial was better than the settings you had, which the preset holds."
    if unseen is None:
        return "The settings were not compared on other seeds, as unseen_seeds is 0."
    return unseen.verdict()


def why_none(trials: Sequence[Trial]) -> str:
    """Why no trial was completed."""
    reason = next((one.why for one in trials if one.why), None)
    return f"the first one: {reason}" if reason else "all were given up"


def preset(study: Study, best: Trial, sentence: str) -> Path:
    """Writes the best settings as a preset.

    Args:
        study: The study.
        best: Its best trial.
        sentence: The verdict.

    Raises:
        UserError: It cannot be written.
    """
    asked = study.asked
    config = dataclasses.replace(asked.config, **({} if best.is_default else best.settings))
    ended = [one for one in study.trials() if one.state in ("complete", "pruned")]
    seeds = range(asked.config.seed, asked.config.seed + len(best.returns))
    searched = [name for name in best.settings if not best.is_default]
    comment = [
        f"Settings for {config.env_id}, found by a2c tune.",
        "",
        f"Trial {best.number} of {len(ended)}, trained on seeds {_seeds(seeds)} for {config.total_steps:,} steps each;",
        f"return at the end, interquartile mean over seeds: {best.value:,.4g}.",
        *textwrap.wrap(f"Searched: {', '.join(searched) or 'no trial was better than the settings before'}.", 100),
        "",
        *textwrap.wrap(sentence, 100),
    ]
    path = study.path / PRESET
    write_preset(path, config, "\n".join(comment))
    return path


def as_json(study: Study, best: Trial | None) -> dict[str, Any]:
    """The study, for `--json`."""
    trials = study.trials()
    default = next((one for one in trials if one.is_default and one.state in ("complete", "pruned")), None)
    return {
        "study": str(study.path),
        "env_id": study.asked.config.env_id,
        "seeds": list(study.asked.seeds),
        "total_steps": study.asked.config.total_steps,
        "best": None if best is None else _trial(best),
        "default": None if default is None else _trial(default),
        "trials": [_trial(one) for one in trials],
    }


def unseen_as_json(unseen: Unseen) -> dict[str, Any]:
    """The comparison on unseen seeds, for `--json`."""
    names = dict(zip(("A", "B"), ("tuned", "default"), strict=True))
    found: dict[str, Any] = {
        "seeds": list(unseen.seeds),
        "folders": dict(zip(names.values(), map(str, unseen.folders), strict=True)),
        "fault": unseen.fault or None,
    }
    if unseen.comparison is None:
        return found
    (environment,) = unseen.comparison.environments.values()
    for name, side in zip(names.values(), environment.sides, strict=True):
        found[name] = {"scores": side.scores.tolist(), "interquartile_mean": side.iqm._asdict()}
    better = unseen.comparison.to_json()["better"]
    return found | {
        "difference": environment.difference._asdict(),
        "probability_of_improvement": environment.improvement._asdict(),
        "chance_of_as_much": unseen.comparison.chance,
        "better": None if better is None else names[better],
    }


def named(settings: Mapping[str, Any]) -> str:
    """Settings as "name value, name value"."""
    return ", ".join(f"{name} {_value(value)}" for name, value in settings.items())


def _value(value: object) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:g}"
        case None:
            return "none"
        case tuple():
            return "-".join(map(str, value)) or "none"
        case int() | str():
            return str(value)
        case _:
            return shown(value)


def _trial(trial: Trial) -> dict[str, Any]:
    return trial._asdict() | {"settings": dict(trial.settings), "looks": [list(look) for look in trial.looks]}


def _seeds(seeds: range) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
