"""The space of a study: settings with their ranges, read from a file and checked against Config."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from a2c.config import Config, may_be_none
from a2c.errors import UserError, shown
from a2c.toml_files import from_toml, read_toml

SHIPPED = Path(__file__).with_name("space.toml")

ACTIONS = "actions"
"""The one condition that is not a setting: whether actions are "real" numbers or "choices"."""

_SCALES = ("linear", "log", "complement", "doubling")
_KEYS = ("name", "choices", "low", "high", "scale", "when")
_DIGITS = 2
"""Significant digits of values on a log scale; no study could tell apart values with more."""
_NOT_SEARCHED = {
    "env_id", "env_kwargs", "seed", "total_steps", "vectorization", "num_workers", "isolate_envs",
    "cluster", "num_actors", "env_timeout_seconds", "stop_at_return", "engine", "num_threads", "device", "run_dir",
    "log", "log_every_steps",
    "eval_every_steps", "eval_episodes", "eval_greedy", "final_eval_episodes", "eval_num_envs", "save_every_seconds",
    "keep_checkpoints", "start_from", "start_from_sha256", "max_episode_steps", "reward_weights",
}  # fmt: skip
"""Settings of the task, the length, the measurement or the machine, not of the learning: trials that differ in one of
these could not be compared."""

Choice = str
"""A choice as the study stores it: the JSON of its value."""


class Dimension(NamedTuple):
    """A setting, and the values it may take."""

    name: str
    choices: tuple[Any, ...]
    """Empty: a range from `low` to `high`."""
    low: float
    high: float
    scale: str
    is_whole: bool
    """Whether it takes only whole numbers."""
    when: Mapping[str, tuple[Any, ...]]
    """The condition for searching it: each of these other settings has one of these values."""

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether its condition holds for these values of the other settings."""
        return all(values[name] in wanted for name, wanted in self.when.items())

    def suggested(self, trial: Any) -> Any:
        """The value that an Optuna trial suggests."""
        if self.choices:
            return _value(trial.suggest_categorical(self.name, [json.dumps(one) for one in self.choices]))
        match self.scale:
            case "doubling":
                return int(self.low) << trial.suggest_int(self.name, 0, int(math.log2(self.high / self.low)))
            case "complement":
                return self._within(1 - _significant(trial.suggest_float(self.name, *self._ends(), log=True)))
            case scale if self.is_whole:
                return trial.suggest_int(self.name, int(self.low), int(self.high), log=scale == "log")
            case "log":
                return self._within(_significant(trial.suggest_float(self.name, self.low, self.high, log=True)))
            case _:
                places = _DIGITS - math.floor(math.log10(self.high - self.low))
                return self._within(round(trial.suggest_float(self.name, self.low, self.high), places))

    def parameter(self, value: Any) -> Any:
        """Optuna's parameter that leads to this value; None if none does."""
        if self.choices:
            return json.dumps(value) if value in self.choices else None
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        match self.scale:
            case "doubling":
                doublings = math.log2(value / self.low)
                return int(doublings) if doublings.is_integer() else None
            case "complement":
                low, high = self._ends()
                return min(max(1 - value, low), high)  # 1 - (1 - low) need not be low.
            case _:
                return value

    def _ends(self) -> tuple[float, float]:
        """The range of the complement, without rounding errors such as 1 - 0.99 = 0.010000000000000009."""
        return _significant(1 - self.high, 6), _significant(1 - self.low, 6)

    def _within(self, value: float) -> float:
        """A value, clipped to the range and without rounding errors such as 1 - 0.01."""
        return min(max(round(value, 12), self.low), self.high)


class Space(NamedTuple):
    """The settings that a study searches."""

    dimensions: tuple[Dimension, ...]
    actions: str
    """The kind of the environment's actions: "real" or "choices"."""

    def settings(self, base: Config, trial: Any) -> dict[str, Any]:
        """The settings that an Optuna trial suggests; `base` has those that are not searched, for the conditions."""
        return self._walked(base, lambda dimension: dimension.suggested(trial))

    def parameters(self, config: Config) -> dict[str, Any]:
        """Optuna's parameters that lead to these settings, without those whose values are outside the space."""
        found = {d.name: d.parameter(getattr(config, d.name)) for d in self.active(config)}
        return {name: value for name, value in found.items() if value is not None}

    def without(self, names: Collection[str]) -> Space:
        """The space without these settings."""
        return self._replace(dimensions=tuple(one for one in self.dimensions if one.name not in names))

    def names(self) -> list[str]:
        """The names of the settings, each once."""
        return list(dict.fromkeys(one.name for one in self.dimensions))

    def to_json(self) -> list[dict[str, Any]]:
        """The space as JSON values; equal for equal spaces."""
        values: list[dict[str, Any]] = json.loads(json.dumps([one._asdict() for one in self.dimensions]))
        return values

    def reachable(self, config: Config) -> list[str]:
        """The settings that some trial may search: a condition holds for `config`, or is on a searched setting."""
        names = self.names()
        values = {**vars(config), ACTIONS: self.actions}
        found = [
            one.name
            for one in self.dimensions
            if all(other in names or values[other] in wanted for other, wanted in one.when.items())
        ]
        return list(dict.fromkeys(found))

    def active(self, config: Config) -> list[Dimension]:
        """The dimensions that are searched with these settings: of each name the first whose condition holds."""
        values = {**vars(config), ACTIONS: self.actions}
        active: dict[str, Dimension] = {}
        for dimension in self.dimensions:
            if dimension.name not in active and dimension.holds(values):
                active[dimension.name] = dimension
        return list(active.values())

    def _walked(self, base: Config, choose: Callable[[Dimension], Any]) -> dict[str, Any]:
        values = {**vars(base), ACTIONS: self.actions}
        found: dict[str, Any] = {}
        for dimension in self.dimensions:
            if dimension.name not in found and dimension.holds(values):
                found[dimension.name] = values[dimension.name] = choose(dimension)
        return found


def read_space(path: Path, actions: str) -> Space:
    """Reads a space from its file.

    Args:
        path: The file; `SHIPPED` is the default one.
        actions: The kind of the environment's actions: "real" or "choices".

    Raises:
        UserError: The file is wrong; the error names it, the setting and the fault.
    """
    values = read_toml(path)
    rows = values.pop("setting", None)
    if values:
        raise UserError(
            f"{path} has {shown(next(iter(values)))}; a space must be a list of [[setting]] and nothing else"
        )
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path} has no [[setting]]; a space must be a list of them")
    dimensions: list[Dimension] = []
    for number, row in enumerate(rows, 1):
        name = row.get("name") if isinstance(row, dict) else None
        try:
            dimensions.append(_dimension(row))
            _check_order(dimensions)
        except UserError as error:
            raise UserError(
                f"{path}, setting {number}{f' ({name})' if isinstance(name, str) else ''}: {error}"
            ) from error
    return Space(tuple(dimensions), actions)


def _check_order(dimensions: Sequence[Dimension]) -> None:
    """Refuses a setting that stands below one whose condition depends on it: it would have no value there yet."""
    *before, last = dimensions
    for one in before:
        if last.name in one.when and all(other.name != last.name for other in before):
            raise UserError(f"move it above {one.name}, whose `when` asks for it")


def _dimension(row: object) -> Dimension:
    if not isinstance(row, dict):
        raise UserError(f"it is {shown(row)}; it must be a table, [[setting]]")
    for key in row:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            raise UserError(
                f"it has {shown(key)}; {f'did you mean {close[0]}?' if close else 'it takes ' + ', '.join(_KEYS)}"
            )
    name = _searchable(row.get("name"))
    has_range, has_choices = "low" in row or "high" in row, "choices" in row
    if has_range == has_choices:
        raise UserError(
            f"it has {'both choices and a range' if has_range else 'neither choices nor a range'}; it must have "
            "choices, or low and high"
        )
    when = _conditions(row.get("when", {}), name)
    if has_choices:
        if "scale" in row:
            raise UserError("it has a scale beside choices; only a range has one")
        return Dimension(name, _choices(name, row["choices"]), 0.0, 0.0, "linear", False, when)
    return _range(name, row, when)


def _searchable(name: object) -> str:
    fields = [field.name for field in dataclasses.fields(Config)]
    if not isinstance(name, str) or name not in fields:
        close = difflib.get_close_matches(str(name), fields, n=1)
        what = "it has no name" if name is None else f"there is no setting {shown(name)}"
        raise UserError(f"{what}; {f'did you mean {close[0]}?' if close else 'a2c train --help shows which there are'}")
    if name in _NOT_SEARCHED:
        raise UserError(
            f"{name} cannot be searched, as trials that differ in it cannot be compared; set it on the command line"
        )
    return name


def _choices(name: str, values: object) -> tuple[Any, ...]:
    if not isinstance(values, list) or len(values) < 2:
        raise UserError(f"choices are {shown(values)}; they must be a list of at least two values")
    found = tuple(_checked(name, value) for value in values)
    if len({json.dumps(one) for one in found}) < len(found):
        raise UserError(f"choices are {shown(values)}; each must be there only once")
    return found


def _range(name: str, row: Mapping[str, Any], when: Mapping[str, tuple[Any, ...]]) -> Dimension:
    ends = [_checked(name, row.get(key), key) for key in ("low", "high")]
    low, high = (float(end) for end in ends)
    scale = row.get("scale", "linear")
    if scale not in _SCALES:
        raise UserError(f"scale is {shown(scale)}; it must be {', '.join(_SCALES[:-1])} or {_SCALES[-1]}")
    if not low < high:
        raise UserError(f"low is {ends[0]} and high {ends[1]}; low must be less than high")
    # `_checked` has turned whole numbers of a real setting into floats, so these are ints only if the setting is.
    is_whole = all(isinstance(end, int) for end in ends)
    if scale in ("log", "doubling") and low <= 0:
        raise UserError(f"low is {ends[0]}; with scale {scale!r} it must be above 0")
    if scale == "complement" and not (low >= 0 and high < 1 and not is_whole):
        raise UserError(
            f"low is {ends[0]} and high {ends[1]}; with scale 'complement' they must be real, at least 0 and below 1"
        )
    if scale == "doubling" and (not is_whole or not math.log2(high / low).is_integer()):
        raise UserError(
            f"low is {ends[0]} and high {ends[1]}; with scale 'doubling' they must be whole, and high must be low "
            "times 2, 4, 8, ..."
        )
    return Dimension(name, (), low, high, scale, is_whole, when)


def _checked(name: str, value: object, what: str = "a choice") -> Any:
    """A value of a setting in the form of Config, which refuses wrong ones."""
    if isinstance(value, bool | str | list) and what != "a choice":
        raise UserError(f"{what} is {shown(value)}; it must be a number")
    if value is None:
        raise UserError(f"{what} is missing")
    return getattr(Config("any", **{name: from_toml(value, may_be_none(name))}), name)


def _conditions(when: object, name: str) -> dict[str, tuple[Any, ...]]:
    if not isinstance(when, dict):
        raise UserError(f'when is {shown(when)}; it must be a table, like {{ actor_step = "natural" }}')
    fields = {field.name for field in dataclasses.fields(Config)}
    found: dict[str, tuple[Any, ...]] = {}
    for other, value in when.items():
        if other == ACTIONS:
            if value not in ("real", "choices"):
                raise UserError(f'when asks for actions {shown(value)}; it must be "real" or "choices"')
            found[other] = (value,)
            continue
        if other not in fields:
            raise UserError(f"when asks for {shown(other)}; it must be a setting, or actions")
        if other == name:
            raise UserError(f"when asks for {name} itself; it must be another setting")
        several = isinstance(value, list) and other not in ("hidden_sizes", "log", "reward_weights")
        found[other] = tuple(_checked(other, one) for one in (value if several else [value]))
    return found


def _value(choice: Choice) -> Any:
    value = json.loads(choice)
    return tuple(value) if isinstance(value, list) else value


def _significant(number: float, digits: int = _DIGITS) -> float:
    return float(f"{number:.{digits}g}")
