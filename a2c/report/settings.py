"""A run's settings: who chose each, what it would be otherwise, and the command that repeats the run."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from a2c.config import Config
from a2c.fitting import FITTED
from a2c.presets import ATARI, PRESETS
from a2c.words import flag

_NOT_REPEATED = ("env_id", "run_dir", "log", "start_from_sha256")
"""Settings that do not change results, or that follow from others."""


class Setting(NamedTuple):
    """A setting of a run."""

    name: str
    value: str
    origin: str
    """Who chose it, in words."""
    otherwise: str
    """Its value if nobody had chosen it; "" if nobody did."""


def settings_table(config: Config, origins: Mapping[str, str]) -> tuple[list[Setting], list[Setting]]:
    """The settings that differ from this version's defaults, first those that a person chose; and all the others."""
    preset = PRESETS.get(preset_of(origins), {})
    defaults = Config(config.env_id)
    ranked: list[tuple[int, Setting]] = []
    for field in dataclasses.fields(Config):
        if field.name in ("env_id", "run_dir"):  # One is in the page's title, the other a path on somebody's disk.
            continue
        value, origin = getattr(config, field.name), origins.get(field.name, "")
        otherwise = preset.get(field.name, getattr(defaults, field.name))
        if value == getattr(defaults, field.name) and origin in ("default", ""):
            rank, chosen_by = 9, "default"
        elif origin.startswith("preset"):
            rank, chosen_by = 2, origin
        elif origin.startswith(FITTED):
            rank, chosen_by = 1, f"fits the environment{origin.removeprefix(FITTED)}"
        else:
            rank, chosen_by = 0, origin or "unknown"
        is_a_choice = rank == 0 and otherwise != value
        shown = value_in_words(otherwise) if is_a_choice else ""
        ranked.append((rank, Setting(field.name, value_in_words(value), chosen_by, shown)))
    ranked.sort(key=lambda pair: pair[0])
    return [one for rank, one in ranked if rank < 9], [one for rank, one in ranked if rank == 9]


def preset_of(origins: Mapping[str, str]) -> str:
    """The name of the preset that some settings came from; "" if none did."""
    return next((o.removeprefix("preset ") for o in origins.values() if o.startswith("preset ")), "")


def command_of(config: Config, origins: Mapping[str, str], has_seed: bool = True) -> str:
    """The command that trains a run with these settings: the preset, and the settings that it does not give.

    What was fitted to the environment is left out: the command fits it again.

    Args:
        config: The settings.
        origins: Where each came from.
        has_seed: Whether the command names the seed.
    """
    name = preset_of(origins)
    is_known = name in PRESETS
    preset = PRESETS[name] if is_known else {}
    fits = any(origin.startswith(FITTED) for origin in origins.values())
    words = ["a2c", "train", config.env_id]
    is_of_a_game = name == ATARI and config.env_id.rpartition(":")[2].startswith("ALE/")
    if is_known and name != config.env_id and not is_of_a_game:
        words += ["--preset", name]
    elif not is_known and not fits:
        words += ["--preset", "none"]
    defaults = Config(config.env_id)
    for field in dataclasses.fields(Config):
        value = getattr(config, field.name)
        origin, expected = origins.get(field.name, ""), preset.get(field.name, getattr(defaults, field.name))
        is_said = field.name == "seed" or origin == "chosen" or (value != expected and not origin.startswith(FITTED))
        if is_said and field.name not in _NOT_REPEATED and (has_seed or field.name != "seed"):
            words += _flag(field.name, value)
    return shlex.join(words)


def _flag(name: str, value: Any) -> list[str]:
    """The command-line words that set one setting."""
    match value:
        case bool():
            return [flag(name) if value else flag(f"no_{name}")]
        case tuple():
            return [flag(name), *map(str, value)]
        case dict():
            return [flag(name), json.dumps(value)]
        case _:
            return [flag(name), str(value)]


def value_in_words(value: object) -> str:
    """The value of a setting as a person reads it. A tuple may also be a list, which it becomes in JSON.

    Example:
        >>> [value_in_words(value) for value in (True, 100_000, 3e-4, (64, 64), None, "linear")]
        ['on', '100,000', '0.0003', '64-64', 'none', 'linear']
    """
    match value:
        case bool():
            return "on" if value else "off"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:g}"
        case list() | tuple():
            return "-".join(map(str, value)) or "none"
        case dict():
            return json.dumps(value) if value else "none"
        case None:
            return "none"
        case _:
            return str(value)


def origins_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Where each setting came from, read from the contents of config.json; empty if that does not say."""
    origins = values.get("origins")
    return {str(name): str(origin) for name, origin in origins.items()} if isinstance(origins, dict) else {}
