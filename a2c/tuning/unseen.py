"""What a study came to: the best settings beside those one had, on seeds that nothing was chosen on."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from a2c.config import Config
from a2c.envs.placement import is_compiled
from a2c.errors import NumbersError, UserError
from a2c.report.comparison import Comparison, compared
from a2c.run.folder import Run
from a2c.screen import display_for
from a2c.signals import Stopped
from a2c.training import fit, go_on
from a2c.tuning.study import Asked, Trial
from a2c.tuning.trial import LOOKS

APART = 1_000
"""Seeds from here on, counted from the first that was tuned on, were never tuned on."""

TUNED = "a2c tune"
"""Where settings come from that a study found, for config.json."""


class Unseen(NamedTuple):
    """Runs of both settings on the same new seeds."""

    seeds: range
    folders: tuple[Path, Path]
    """Of the runs with the best settings, and with those one had."""
    comparison: Comparison | None
    """A has the best settings; None where a run came to no end."""
    fault: str
    """Why there is none."""

    def verdict(self) -> str:
        """Whether it is better, and how sure that is, in a sentence."""
        where = f"on seeds {self.seeds[0]} to {self.seeds[-1]}, which nothing was chosen on"
        if self.comparison is None:
            return f"Nothing can be said {where}: {self.fault}."
        (environment,) = self.comparison.environments.values()
        point, low, high = environment.difference
        moved = f"the interquartile mean {'rises' if point >= 0 else 'falls'} by {abs(point):,.4g}"
        ends = sorted((low, high)) if point >= 0 else sorted((-low, -high))
        chance = f"chance alone sets two such groups as far apart in {100 * self.comparison.chance:.2g} % of cases."
        told = f"{moved} (95 %: {ends[0]:,.4g} to {ends[1]:,.4g}) {where}"
        if not self.comparison.is_sure and environment.improvement.point in (0, 1):
            return f"These seeds are too few to tell: {told}, and {chance}"
        if not self.comparison.is_sure:
            return f"No improvement is shown: {told}, and {chance}"
        better = environment.improvement.point > 0.5
        first = "The tuned settings are better" if better else "The tuned settings are worse than those you had"
        return f"{first}: {told}; {chance}"


def unseen_seeds(asked: Asked, count: int) -> range:
    """So many that no trial was trained on."""
    return range(asked.config.seed + APART, asked.config.seed + APART + count)


def plan(asked: Asked, path: Path, best: Trial, seeds: range) -> dict[str, list[Config]]:
    """The runs to make, by the folder below `path` that they lie in: with the best settings, then as it was.

    Their final policies are those of `a2c train`; they are evaluated as often as trials are.
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
    """Makes those of these runs that are not there yet, and gives all of them as they end.

    Raises:
        Stopped: A signal asked for it; what was made is kept, and gone on with.
        UserError, EnvError, WorkerError: As `a2c.training.fit`.
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


def _path(config: Config, origins: Mapping[str, str]) -> tuple[Path | None, str]:
    """A run's folder, in a process of its own; None where a signal ended it. And how it diverged, if it did."""
    try:
        return _run(config, origins).path, ""
    except Stopped:
        return None, ""
    except NumbersError as error:  # It has arrays, which are not worth the way.
        if error.env_index is not None:
            raise UserError(str(error)) from None
        return None, str(error)


def _run(config: Config, origins: Mapping[str, str]) -> Run:
    there = Run.newest(config, is_compiled(config, config.env_id))
    run = (
        fit(config, config.env_id, origins, display_for(False), owns_process=True)
        if there is None
        else go_on(there, config.env_id, display_for(False), owns_process=True)
    )
    if run.stopped_by:
        raise Stopped
    return run


def compared_on(seeds: range, path: Path, sides: Mapping[str, Sequence[Run]]) -> Unseen:
    """What the runs of both sides came to."""
    best, default = sides.values()
    ours, theirs = (path / "unseen" / name for name in sides)
    return Unseen(seeds, (ours, theirs), compared((best, default)), "")


def diverged(seeds: range, path: Path, names: Sequence[str], side: str, error: NumbersError) -> Unseen:
    """The same where a run of one side ended in numbers that are not finite."""
    ours, theirs = (path / "unseen" / name for name in names)
    return Unseen(seeds, (ours, theirs), None, f"with the settings of {side}, {error}")
