"""One seed of several: its job, and training it."""

from __future__ import annotations

from typing import Any, NamedTuple

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
    preset: str
    """As on the command line."""
    resume: bool
    """Whether to go on with the newest run of these settings, if there is one."""

    def to_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {**self._asdict(), "config": self.config.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Job:
        """From what `to_json` returned."""
        return cls(**{**values, "config": Config.from_json(values["config"])})


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
    config = job.config
    existing = Run.newest(config, is_compiled(config, config.env_id)) if job.resume else None
    if existing is not None:
        free = {name: getattr(config, name) for name in FREE if name != "run_dir"}
        return go_on(existing, config.env_id, display, owns_process=True, **free)
    fitting = fit_beside_preset(config.env_id, job.preset, {name: getattr(config, name) for name in DECIDE})
    return fit(config, config.env_id, origins(config, job.preset, fitting), display, owns_process=True)
