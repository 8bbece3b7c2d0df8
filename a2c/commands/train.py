"""`a2c train ENV`: trains, evaluates, draws the curve, records an episode and writes the report."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

from a2c.commands.groups import Preset, Settings
from a2c.commands.plot import draw
from a2c.commands.record import record
from a2c.commands.report import write_report
from a2c.errors import EnvError, UserError
from a2c.evaluation import in_words, shown_returns
from a2c.imports import importing
from a2c.output import print_json
from a2c.presets import configure, fit_beside_preset, warn_of_other_environment
from a2c.run.folder import Run
from a2c.screen import display_for
from a2c.seeds.aggregate import seeds_as_json, seeds_in_words
from a2c.seeds.board import Board
from a2c.seeds.one import Job, jobs_for, train
from a2c.seeds.parent import runs_of, train_all
from a2c.seeds.places import Here, Places, alone, check_spread, processes_for
from a2c.start import settled


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a policy on a Gymnasium environment and write everything about it to a run folder."""

    config: Settings
    preset: Preset = "auto"
    seeds: int = 1
    """How many seeds to train, counted up from --seed. With --cluster, each is trained as a whole somewhere on it."""
    jobs: int | Literal["auto"] = "auto"
    """Seeds trained at the same time, each in a process with its share of the cores. auto: as many as have room, on a
    cluster as many as it has CPUs for."""
    pictures: bool = True
    """Draw curve.png, record video.gif and write report.html at the end; with several seeds, one picture of all curves
    instead."""
    resume: bool = False
    """Continue the newest run with these settings in --run-dir, if there is one; a finished one is left as it is."""
    quiet: bool = False
    """Print only warnings while it trains."""
    json: bool = False
    """Print the summaries as one JSON object, {"runs": [...]}; with several seeds, also their statistics."""

    def with_preset(self, named: Collection[str]) -> Train:
        """The same verb with the preset's settings as defaults; the flags that the user named are parsed over them."""
        chosen = {name: value for name, value in vars(self.config).items() if name in named}
        fit = fit_beside_preset(self.config.env_id, self.preset, chosen)
        return dataclasses.replace(self, config=configure(self.config.env_id, self.preset, chosen, fit))

    def run(self) -> int:
        """Trains; returns the exit code: 128 + the signal's number if one ended a run early."""
        if not 1 <= self.seeds <= 10_000:
            raise UserError(f"seeds is {self.seeds}; it must be from 1 to 10,000")
        if self.jobs != "auto" and not 1 <= self.jobs <= 1_000:
            raise UserError(f"jobs is {self.jobs}; it must be from 1 to 1,000, or auto")
        is_spread = self.seeds > 1 and self.config.cluster != "none"
        if is_spread:
            check_spread(self.config, "a seed", "--jobs says how many seeds are trained at the same time")
        config = settled(self.config)  # First, because --resume finds a run by the contents of --start-from's file.
        seeds = range(config.seed, config.seed + self.seeds)
        warn_of_other_environment(config.env_id, self.preset)
        jobs = jobs_for(alone(config) if is_spread else config, self.preset, seeds, self.resume)
        return self._run_one(jobs[0]) if len(jobs) == 1 else self._run_several(jobs)

    def _run_one(self, job: Job) -> int:
        run = train(job, display_for(not self.quiet))
        if not self.json:
            print(report(run))
        if run.stopped_by:
            print(f"stopped by {run.stopped_by.name}; `{run.command('resume')}` continues it", file=sys.stderr)
        elif self.pictures:
            # With --json, standard output holds nothing but the JSON object.
            draw_pictures(run, run.config.env_id, sys.stderr if self.json else sys.stdout)
        if self.json:
            print_json({"runs": [{"run": str(run.path), **run.summary}]})
        return exit_code(run)

    def _run_several(self, jobs: Sequence[Job]) -> int:
        first, last = jobs[0].config.seed, jobs[-1].config.seed
        with contextlib.ExitStack() as cleanup:
            processes, places = self._places(len(jobs), cleanup)
            title = f"{self.config.env_id}, seeds {first} to {last}, {processes} at a time"
            board = Board([job.config.seed for job in jobs], title, self.quiet)
            cleanup.callback(board.close)
            stopped_by = train_all(jobs, places, board)
        rows = list(board.rows.values())
        runs = runs_of(rows)
        if self.json:
            print_json(seeds_as_json(rows, runs))
        else:
            print(seeds_in_words(rows, runs))
        if stopped_by:
            what = "the same command with --resume continues all seeds" if runs else "no run had begun"
            print(f"stopped by {signal.Signals(stopped_by).name}; {what}", file=sys.stderr)
        elif self.pictures and runs:
            path = runs[0].path.parent / f"{runs[0].path.name.rpartition('-seed')[0]}-seeds{first}-{last}.png"
            attempt_picture("curves", lambda: draw(runs, path), sys.stderr if self.json else sys.stdout)
        return 128 + stopped_by if stopped_by else max(row.code for row in rows)

    def _places(self, seeds: int, cleanup: contextlib.ExitStack) -> tuple[int, Places]:
        """How many seeds are trained at the same time, and where."""
        config = self.config
        if config.cluster == "none":
            processes = processes_for(config, seeds) if self.jobs == "auto" else min(self.jobs, seeds)
            return processes, Here(processes)
        with importing():
            from a2c.seeds.remote import spread_over  # Here: it imports Numba, which is slow.
        processes, places = spread_over(config, self.jobs, seeds)
        cleanup.callback(places.close)
        return processes, places


def exit_code(run: Run) -> int:
    """128 + the number of the signal that ended the run early; else 0."""
    return 128 + run.stopped_by if run.stopped_by else 0


def report(run: Run) -> str:
    """The lines that sum up a run: its speed, its evaluations, and why it is not exact if it is not."""
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
    """When the best policy was chosen, and whether the final one beats it: it was chosen on other episodes."""
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
    """Draws the curve, records a video and writes the report. An error only leaves one out: the run is finished."""
    attempt_picture("curve", lambda: draw([run], run.path / "curve.png"), file)
    attempt_picture("video", lambda: record(run, run.path / "video.gif", max_steps=500, env=env_id).path, file)
    attempt_picture("report", lambda: write_report(run, run.path / "report.html"), file)


def attempt_picture(name: str, make: Callable[[], Path], file: TextIO) -> None:
    """Makes a picture and prints its path, or why there is none."""
    try:
        print(f"{name:<7} {make()}", file=file)
    except (UserError, EnvError) as error:
        print(f"no {name}: {error}", file=sys.stderr)
