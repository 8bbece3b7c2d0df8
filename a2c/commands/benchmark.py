"""`a2c benchmark ENV`: how fast an environment steps and trains on this machine, with every placement it has here."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import statistics
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from a2c.commands.groups import Preset, Settings
from a2c.config import Config
from a2c.envs.make import envs_for
from a2c.envs.placement import is_compiled
from a2c.envs.sources import compiled_form
from a2c.errors import UserError
from a2c.imports import importing
from a2c.machine import cores
from a2c.output import print_json
from a2c.presets import configure, fit_beside_preset

if TYPE_CHECKING:
    from a2c.envs import Envs


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Measure how fast training on an environment is on this machine, compared with stepping it at random."""

    config: Settings
    preset: Preset = "auto"
    seconds: float = 1.0
    """How long each measurement takes."""
    rounds: int = 5
    """Measurements of each, taken in turn, so that a slow moment of the machine hits all alike."""
    json: bool = False
    """Print one JSON object."""

    def with_preset(self, named: Collection[str]) -> Benchmark:
        """The same verb with the preset's settings as defaults; the flags that the user named are parsed over them."""
        chosen = {name: value for name, value in vars(self.config).items() if name in named}
        fit = fit_beside_preset(self.config.env_id, self.preset, chosen)
        return dataclasses.replace(self, config=configure(self.config.env_id, self.preset, {}, fit))

    def run(self) -> int:
        """Returns the exit code."""
        if not 0 < self.seconds <= 3600:
            raise UserError(f"seconds is {self.seconds}; it must be above 0 and at most 3600")
        if not 1 <= self.rounds <= 1000:
            raise UserError(f"rounds is {self.rounds}; it must be from 1 to 1000")
        if self.config.cluster != "none":
            raise UserError(f"cluster is {self.config.cluster!r}, and this measures this machine alone; drop it")
        with importing():  # Not at the top: Numba is slow to import, and few verbs need it.
            from a2c.kernels.compiler import compilation_shown
        with contextlib.ExitStack() as cleanup:
            cleanup.enter_context(compilation_shown())
            contestants = contestants_for(self.config)
            for contestant in contestants.values():
                cleanup.callback(contestant.close)
            measurements = {name: functools.partial(one.rate, self.seconds) for name, one in contestants.items()}
            rates = alternate(measurements, self.rounds, sys.stderr.write)
        if self.json:
            print_json({"env_id": self.config.env_id, "steps_per_second": rates})
            return 0
        first = next(iter(rates.values()))["median"]
        print(f"{'steps per second':34s}{'median':>12s}{'lowest':>12s}{'highest':>12s}{'/ random':>10s}")
        for name, rate in rates.items():
            low, high, median = min(rate["rounds"]), max(rate["rounds"]), rate["median"]
            print(f"{name:34s}{median:12,.0f}{low:12,.0f}{high:12,.0f}{median / first:10.2f}")
        return 0


class Contestant:
    """Something that takes agent steps, to be timed."""

    def __init__(self, take_steps: Callable[[], int], close: Callable[[], None]) -> None:
        """Creates it from a function that takes some steps and returns their number, and a function that closes it."""
        self._take_steps, self.close = take_steps, close

    def rate(self, seconds: float) -> float:
        """Takes steps for so many seconds; returns the steps per second."""
        start, steps = time.perf_counter(), 0
        while (passed := time.perf_counter() - start) < seconds:
            steps += self._take_steps()
        return steps / passed


def contestants_for(config: Config) -> dict[str, Contestant]:
    """Random actions in this process, then training with every placement that is possible here.

    Raises:
        UserError: The environment is not usable.
        EnvError: The environment raised.
    """
    found = {"random actions, this process": _stepping(config)}
    if compiled_form(config.env_id) is not None and not config.env_kwargs:
        found["training, compiled"] = _training(config, vectorization="compiled", num_workers="auto")
    found["training, this process"] = _training(config, vectorization="local", num_workers="auto")
    for workers in range(1, min(cores(), config.num_envs - 1) + 1):
        name = f"training, {workers} worker{'s' if workers > 1 else ''} beside it"
        found[name] = _training(config, vectorization="workers", num_workers=workers)
    return found


def alternate(
    contestants: Mapping[str, Callable[[], float]], rounds: int, say: Callable[[str], Any]
) -> dict[str, dict[str, Any]]:
    """Runs every contestant once a round, in turn, after one warm-up round that does not count.

    Returns:
        For each, the "median" of its rates and all of them, "rounds".
    """
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            rate = run()
            if number:
                rates[name].append(rate)
                say(f"round {number}/{rounds}  {name:40s} {rate:12,.0f} steps/s\n")
    return {name: {"median": statistics.median(values), "rounds": values} for name, values in rates.items()}


def _envs(config: Config, **placement: Any) -> Envs:
    placed = dataclasses.replace(config, isolate_envs=False, **placement)
    return envs_for(placed, config.env_id, is_compiled(placed, config.env_id))


def _stepping(config: Config) -> Contestant:
    envs = _envs(config, vectorization="local", num_workers="auto")
    envs.begin()
    envs.action_space.seed(config.seed)
    actions = [envs.action_space.sample() for _ in range(config.rollout_length)]

    def take_steps() -> int:
        for action in actions:
            envs.advance(action)
        return config.steps_per_update

    return Contestant(take_steps, envs.close)


def _training(config: Config, **placement: Any) -> Contestant:
    from a2c.learner import Learner

    envs = _envs(config, **placement)
    learner = Learner(config, envs)
    # A fused update takes microseconds: several a call, so that the cost of the call does not count.
    count = max(1, 100_000 // config.steps_per_update) if learner.is_fused else 1

    def take_steps() -> int:
        return len(learner.update(count)) * config.steps_per_update

    return Contestant(take_steps, envs.close)
