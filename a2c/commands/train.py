"""`a2c train ENV`: trains, evaluates, draws the curve and records an episode."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from a2c.commands.groups import Preset, Settings
from a2c.commands.plot import draw
from a2c.commands.record import record
from a2c.config import FREE
from a2c.envs.placement import is_compiled
from a2c.errors import EnvError, UserError
from a2c.evaluation import in_words, shown_returns
from a2c.fitting import DECIDE
from a2c.imports import importing
from a2c.output import print_json
from a2c.presets import configure, fit_beside_preset, origins, warn_of_other_environment
from a2c.run.folder import Run
from a2c.start import settled


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a policy on a Gymnasium environment and keep everything about it in a run folder."""

    config: Settings
    preset: Preset = "auto"
    seeds: int = 1
    """Train this many times, with the seeds that follow --seed."""
    pictures: bool = True
    """Draw curve.png and record video.gif at the end."""
    resume: bool = False
    """Go on with the newest run of these settings in --run-dir, where there is one; leave a finished one as it is."""
    json: bool = False
    """Print the summaries as one JSON object, {"runs": [...]}."""

    def with_preset(self, named: Collection[str]) -> Train:
        """The same with the preset's settings as defaults, for the command line, which names some, to be read over."""
        chosen = {name: value for name, value in vars(self.config).items() if name in named}
        fit = fit_beside_preset(self.config.env_id, self.preset, chosen)
        return dataclasses.replace(self, config=configure(self.config.env_id, self.preset, chosen, fit))

    def run(self) -> int:
        """Trains; returns the exit code: 128 + the signal's number if one ended a run early."""
        with importing():
            from a2c.training import fit, go_on  # Here: importing Numba takes a while, and few verbs need it.
        if not 1 <= self.seeds <= 10_000:
            raise UserError(f"seeds is {self.seeds}; it must be from 1 to 10,000")
        seeds = range(self.config.seed, self.config.seed + self.seeds)
        config = settled(self.config)  # Before a run is looked for: which one it is depends on what that file holds.
        warn_of_other_environment(config.env_id, self.preset)
        configs = [dataclasses.replace(config, seed=seed) for seed in seeds]
        summaries: list[dict[str, Any]] = []
        for config in configs:
            there = Run.newest(config, is_compiled(config, config.env_id)) if self.resume else None
            if there is None:
                decided = {name: getattr(config, name) for name in DECIDE}
                fitting = fit_beside_preset(config.env_id, self.preset, decided)
                settings_from = origins(config, self.preset, fitting)
                run = fit(config, config.env_id, settings_from, True, owns_process=True)
            else:
                free = {name: getattr(config, name) for name in FREE if name != "run_dir"}
                run = go_on(there, config.env_id, True, owns_process=True, **free)
            summaries.append({"run": str(run.path), **run.summary})
            if not self.json:
                print(report(run))
            if run.stopped_by:
                print(f"stopped by {run.stopped_by.name}; `{run.command('resume')}` goes on", file=sys.stderr)
                break
            if self.pictures:
                # Standard output belongs to the JSON object alone.
                draw_pictures(run, run.config.env_id, sys.stderr if self.json else sys.stdout)
        if self.json:
            print_json({"runs": summaries})
        elif self.seeds > 1:
            reached = [summary["evaluation"]["mean"] for summary in summaries if "evaluation" in summary]
            means = [mean for mean in reached if mean is not None]
            if means:
                mean, low, high = shown_returns([float(np.mean(means)), min(means), max(means)])
                print(f"{len(means)} seeds: mean {mean}, lowest {low}, highest {high}")
        return exit_code(run)


def exit_code(run: Run) -> int:
    """128 + the number of the signal that ended the run early; else 0."""
    return 128 + run.stopped_by if run.stopped_by else 0


def report(run: Run) -> str:
    """What a run came to, in lines."""
    summary = run.summary
    lines = [f"{summary['steps']} steps, {summary['steps_per_second']:.0f} a second"]
    for name, label in (("evaluation", "best policy "), ("final_evaluation", "final policy")):
        if name in summary:
            lines.append(f"{label}  {in_words(summary[name])}")
            if name == "evaluation":
                lines += _why_best(summary)
    if not summary["exact"]:
        lines.append(f"not exact: {'; '.join(summary['inexact_because'])}")
    return "\n".join(lines)


def _why_best(summary: dict[str, Any]) -> list[str]:
    """When the best policy was the best, and whether it still is: it was chosen on other episodes."""
    best, final = summary.get("best", {}), summary.get("final_evaluation", {})
    if best.get("evaluation_return") is None or best.get("steps") == summary["steps"]:
        return []
    (chosen,) = shown_returns([best["evaluation_return"]])
    lines = [f"              (chosen after {best['steps']:,} steps, when it reached {chosen} on other episodes)"]
    means = summary["evaluation"]["mean"], final.get("mean")
    if None not in means and means[0] < means[1]:
        lines.append("              (on these episodes the final policy does better)")
    return lines


def draw_pictures(run: Run, env_id: str, file: TextIO) -> None:
    """Draws and records; the run is finished, and a picture that fails is no reason to fail."""

    def attempt(name: str, make: Callable[[], Path]) -> None:
        try:
            print(f"{name}   {make()}", file=file)
        except (UserError, EnvError) as error:
            print(f"no {name}: {error}", file=sys.stderr)

    attempt("curve", lambda: draw([run], run.path / "curve.png"))
    attempt("video", lambda: record(run, run.path / "video.gif", max_steps=500, env=env_id).path)
