"""Compares the best settings of a study with the default ones, on seeds that no trial has seen."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from a2c.config import Config
from a2c.envs.placement import is_compiled
from a2c.errors import NumbersError, UserError, WorkerError
from a2c.report.comparison import Comparison, compared, percent
from a2c.run.folder import Run
from a2c.screen import display_for
from a2c.seeds.board import Board
from a2c.seeds.one import Job
from a2c.seeds.parent import trained
from a2c.seeds.places import Places
from a2c.signals import Stopped, StopSignals
from a2c.training import fit, go_on
from a2c.tuning.study import Asked, Trial
from a2c.tuning.trial import LOOKS

APART = 1_000
"""Unseen seeds begin this far above the first seed of the trials."""

TUNED = "a2c tune"
"""The origin of settings that a study found, in config.json."""


class Unseen(NamedTuple):
    """The comparison of runs with both settings on the same new seeds."""

    seeds: range
    folders: tuple[Path, Path]
    """Of the runs with the best settings, and of those with the default settings."""
    comparison: Comparison | None
    """A has the best settings; None if a run diverged."""
    fault: str
    """Why there is no comparison; else empty."""

    def verdict(self) -> str:
        """A sentence on whether the best settings are better, and how sure that is."""
        on_seeds = f"on seeds {self.seeds[0]} to {self.seeds[-1]}, which nothing was chosen on"
        if self.comparison is None:
            return f"Nothing can be said {on_seeds}: {self.fault}."
        (environment,) = self.comparison.environments.values()
        point, low, high = environment.difference
        moved = f"the interquartile mean {'rises' if point >= 0 else 'falls'} by {abs(point):,.4g}"
        ends = sorted((low, high)) if point >= 0 else sorted((-low, -high))
        chance = f"chance alone sets two such groups as far apart in {percent(self.comparison.chance)} of cases."
        result = f"{moved} (95 %: {ends[0]:,.4g} to {ends[1]:,.4g}) {on_seeds}"
        if not self.comparison.is_sure and environment.improvement.point in (0, 1):
            return f"These seeds are too few to tell: {result}, and {chance}"
        if not self.comparison.is_sure:
            return f"No improvement is shown: {result}, and {chance}"
        better = environment.improvement.point > 0.5
        first = "The tuned settings are better" if better else "The tuned settings are worse than those you had"
        return f"{first}: {result}; {chance}"


def unseen_seeds(asked: Asked, count: int) -> range:
    """`count` seeds that no trial was trained on."""
    return range(asked.config.seed + APART, asked.config.seed + APART + count)


def plan(asked: Asked, path: Path, best: Trial, seeds: range) -> dict[str, list[Config]]:
    """The runs to make, by the name of their folder in `path`/unseen: first with the best settings, then the default.

    They are evaluated as often as trials are; their final policies are those of `a2c train` with the same settings.
    """
    sides = {f"trial-{best.number}": dict(best.settings), "default": {}}
    found = {}
    for name, settings in sides.items():
        config = dataclasses.replace(asked.config, **settings)
        config = dataclasses.replace(
            config,
            run_dir=str(path / "unseen" / name),
            eval_every_steps=-(-config.num_updates // LOOKS) * config.steps_per_update,
            final_eval_episodes=config.final_eval_episodes or "auto",
            save_every_seconds=30.0,
            keep_checkpoints=1,
        )
        found[name] = [dataclasses.replace(config, seed=seed) for seed in seeds]
    return found


def made(configs: Sequence[Config], origins: Mapping[str, str], jobs: int) -> Iterator[Run]:
    """Trains the runs that do not exist or are unfinished; yields all of them as they end.

    Raises:
        Stopped: A signal asked to stop; the runs are saved, and go on when this is called again.
        UserError, EnvError, WorkerError: As `a2c.training.fit`.
        NumbersError: Training diverged.
    """
    if jobs == 1 or len(configs) == 1:
        for config in configs:
            yield _run(config, origins)
        return
    with ProcessPoolExecutor(min(jobs, len(configs)), multiprocessing.get_context("spawn")) as pool:
        try:
            for job in as_completed([pool.submit(_path, config, origins) for config in configs]):
                path, fault = job.result()
                if fault:
                    raise NumbersError(fault, {})
                if path is None:
                    raise Stopped
                yield Run(path)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def made_elsewhere(configs: Sequence[Config], origins: Mapping[str, str], places: Places) -> Iterator[Run]:
    """`made` with every run in a process of its own, wherever there is room; the folders are here all the same.

    Raises:
        As `made`.
    """
    board = Board([config.seed for config in configs], "", is_quiet=True)
    jobs = [Job(config, origins, resume=True) for config in configs]
    with StopSignals() as stop, contextlib.closing(trained(jobs, places, board, stop)) as rows:
        for row in rows:
            if row.state == "done" and row.path is not None:
                yield Run(row.path)
            elif row.state == "failed" and row.is_diverged:
                raise NumbersError(row.why, {})
            elif row.state == "failed":
                raise UserError(row.why) if row.code == 2 else WorkerError(row.why)
        if stop.received:
            raise Stopped


def _path(config: Config, origins: Mapping[str, str]) -> tuple[Path | None, str]:
    """Makes a run in a process of its own.

    Returns:
        Its folder, None if a signal ended it or it diverged; and how it diverged, else "".
    """
    try:
        return _run(config, origins).path, ""
    except Stopped:
        return None, ""
    except NumbersError as error:  # It holds a whole rollout, which the parent does not need.
        if error.env_index is not None:
            raise UserError(str(error)) from None
        return None, str(error)


def _run(config: Config, origins: Mapping[str, str]) -> Run:
    existing = Run.newest(config, is_compiled(config, config.env_id))
    run = (
        fit(config, config.env_id, origins, display_for(False), owns_process=True)
        if existing is None
        else go_on(existing, config.env_id, display_for(False), owns_process=True)
    )
    if run.stopped_by:
        raise Stopped
    return run


def compared_on(seeds: range, path: Path, sides: Mapping[str, Sequence[Run]]) -> Unseen:
    """The comparison of the runs of both sides."""
    best, default = sides.values()
    ours, theirs = (path / "unseen" / name for name in sides)
    return Unseen(seeds, (ours, theirs), compared((best, default)), "")


def diverged(seeds: range, path: Path, names: Sequence[str], side: str, error: NumbersError) -> Unseen:
    """The outcome if a run of one side diverged: no comparison."""
    ours, theirs = (path / "unseen" / name for name in names)
    return Unseen(seeds, (ours, theirs), None, f"with the settings of {side}, {error}")
