"""What a process is told to do, training one seed of several or measuring a trial; and training one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from a2c import start
from a2c.config import FREE, Config
from a2c.envs.placement import is_compiled
from a2c.fitting import DECIDE
from a2c.imports import importing
from a2c.presets import fit_beside_preset, origins
from a2c.run.folder import Run
from a2c.screen import Display


class Job(NamedTuple):
    """What the command line asks for, for one seed."""

    config: Config
    settings_from: Mapping[str, str]
    """Where each setting came from, for config.json."""
    resume: bool
    """Whether to go on with the newest run of these settings, if there is one."""
    start: str = ""
    """The path of a copy of `start_from`; empty: the file itself is here."""

    def to_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {**self._asdict(), "config": self.config.to_json(), "settings_from": dict(self.settings_from)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Job:
        """From what `to_json` returned."""
        return cls(**{**values, "config": Config.from_json(values["config"])})


class Measuring(NamedTuple):
    """A trial of `a2c tune` to measure, as `a2c.tuning.trial.looks` does."""

    config: Config
    seeds: Sequence[int]
    episodes: int
    number: int = 0
    """The number of the look after which it goes on; 0: it begins."""
    states: Sequence[str] = ()
    """The states of that look, in base64."""
    start: str = ""
    """As in `Job`."""

    def to_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {
            **self._asdict(),
            "config": self.config.to_json(),
            "seeds": list(self.seeds),
            "states": list(self.states),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Measuring:
        """From what `to_json` returned."""
        return cls(**{**values, "config": Config.from_json(values["config"])})

    def placed(self) -> Config:
        """Its settings, with which this process finds the copy of `start_from`."""
        return _placed(self.config, self.start)


def jobs_for(config: Config, preset: str, seeds: Sequence[int], resume: bool) -> list[Job]:
    """The jobs for several seeds of the same settings, of which `preset` on the command line gave some.

    Raises:
        UserError: The preset is unknown, or the environment is unknown or cannot be trained on.
        EnvError: Its constructor raised.
    """
    fitting = fit_beside_preset(config.env_id, preset, {name: getattr(config, name) for name in DECIDE})
    configs = [dataclasses.replace(config, seed=seed) for seed in seeds]
    return [Job(one, origins(one, preset, fitting), resume) for one in configs]


def train(job: Job, display: Display) -> Run:
    """Trains a run, or goes on with an existing one.

    If an environment of this process hangs, the process ends.

    Raises:
        UserError: A setting, the environment or the run folder is not usable.
        EnvError: An environment raised; a checkpoint was saved.
        WorkerError: Workers died or gave no answer in time, again and again; a checkpoint was saved.
    """
    with importing():
        from a2c.training import fit, go_on  # Here: importing Numba takes a while, and few verbs need it.
    config = _placed(job.config, job.start)
    existing = Run.newest(config, is_compiled(config, config.env_id)) if job.resume else None
    if existing is not None:
        free = {name: getattr(config, name) for name in FREE if name != "run_dir"}
        return go_on(existing, config.env_id, display, owns_process=True, **free)
    return fit(config, config.env_id, job.settings_from, display, owns_process=True)


def _placed(config: Config, copy: str) -> Config:
    """Makes this process use a copy of `start_from`, if there is one; returns the settings."""
    if copy and config.start_from:
        start.use_copy(config.start_from, Path(copy))
    return config
