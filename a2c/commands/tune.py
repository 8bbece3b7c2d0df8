"""`a2c tune ENV`: searches for better settings, and compares them with the old ones on seeds that it did not use."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shlex
import sys
import textwrap
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from a2c import files
from a2c.commands.compare import table
from a2c.commands.groups import Preset, Settings
from a2c.errors import NumbersError, UserError
from a2c.evaluation import shown_returns
from a2c.fitting import lines
from a2c.imports import importing
from a2c.model.own import is_own
from a2c.output import print_json
from a2c.presets import check_have_effect, configure, fit_beside_preset, origins, warn_of_other_environment
from a2c.seeds.places import alone, check_spread
from a2c.start import settled

if TYPE_CHECKING:
    from a2c.seeds.remote import OnCluster
    from a2c.signals import StopSignals
    from a2c.tuning.search import Budget
    from a2c.tuning.study import Asked, Study, Trial
    from a2c.tuning.unseen import Unseen

_TRIALS = 50
_EPISODES = 30
_MOST = 1_000
"""The largest number of seeds, and of processes."""


@dataclasses.dataclass(frozen=True)
class Tune:
    """Search for better settings on some seeds, and compare the best with your own settings on other seeds."""

    config: Settings
    preset: Preset = "auto"
    space: str | None = None
    """A file with the settings to search and their ranges; by default a2c/tuning/space.toml, which shows the format."""
    study: str | None = None
    """The study's folder. By default tune-ENV in --run-dir. The same command again continues the study; a second one at
    the same time helps with it."""
    trials: int | None = None
    """Trials in all, with those already in the study; by default 50, or with --minutes as many as fit."""
    minutes: float | None = None
    """About how long to search, including the comparison on other seeds."""
    seeds: int = 4
    """Runs of each trial, with seeds counted up from --seed; a trial's score is their interquartile mean."""
    confirm_seeds: int = 4
    """Further runs, with the next seeds, of a trial that would be the best and of your own settings, because among many
    trials some are good by luck on a few seeds."""
    unseen_seeds: int = 10
    """Other seeds, from --seed + 1000, on which to compare the best settings with your own; 0: none."""
    jobs: int | Literal["auto"] = "auto"
    """Processes for trials and for the comparison. With 1, the same seed makes the same trials. auto: 1, or with
    --cluster, on which each trial and each run is then trained as a whole, as many as it has CPUs for."""
    json: bool = False
    """Print one JSON object."""
    named: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """The settings that the command line names: they are not searched."""

    def with_preset(self, named: Collection[str]) -> Tune:
        """The same verb with the preset's settings as defaults; the flags that the user named are parsed over them."""
        fields = {field.name for field in dataclasses.fields(self.config)}
        known = tuple(sorted({name.removeprefix("no_") for name in named} & fields))
        chosen = {name: getattr(self.config, name) for name in known}
        fit = fit_beside_preset(self.config.env_id, self.preset, chosen)
        config = configure(self.config.env_id, self.preset, chosen, fit)
        return dataclasses.replace(self, config=config, named=known)

    def run(self) -> int:
        """Tunes; returns the exit code: 128 + the signal's number if one ended it early."""
        self._check()
        with importing():  # Not at the top: Numba and Optuna are slow to import, and few verbs need them.
            from a2c.tuning.study import open_optuna

            open_optuna()
        asked = self._asked()
        with contextlib.ExitStack() as cleanup:
            return self._tune(asked, *self._places(cleanup))

    def _places(self, cleanup: contextlib.ExitStack) -> tuple[int, OnCluster | None]:
        """How many trials are made at the same time, and where if that is on a cluster."""
        if self.config.cluster == "none":
            return (1 if self.jobs == "auto" else self.jobs), None
        with importing():
            from a2c.seeds.remote import spread_over
        jobs, places = spread_over(self.config, self.jobs, _MOST)
        cleanup.callback(places.close)
        return jobs, places

    def _tune(self, asked: Asked, jobs: int, places: OnCluster | None) -> int:
        from a2c.signals import Stopped, StopSignals
        from a2c.tuning.search import Budget
        from a2c.tuning.study import Study

        study = Study(Path(self.study) if self.study else self._folder(), asked)
        trials = self.trials if self.trials is not None or self.minutes is not None else _TRIALS
        budget = Budget(trials, time.time(), self.minutes, 2 * self.unseen_seeds, jobs)
        say = _Progress(asked, budget)
        say.begins(study)
        try:
            with StopSignals() as stop:
                try:
                    self._search(study, budget, stop, say, places)
                    is_last = study.leave()
                except BaseException:
                    study.leave()
                    raise
            if not is_last:
                say.line(f"other processes still make trials of {study.path}; the last of them compares and reports")
            result = self._result(study, say, jobs, places) if is_last else None
        except (Stopped, KeyboardInterrupt):  # The second, if Ctrl-C comes while environments and networks are made.
            return self._stopped(study, say, stop)
        if self.json:
            print_json(result or {"study": str(study.path), "is_last": False})
        return 0

    def _check(self) -> None:
        for name, value, least, most in (
            ("seeds", self.seeds, 1, _MOST), ("unseen_seeds", self.unseen_seeds, 0, _MOST),
            ("jobs", None if self.jobs == "auto" else self.jobs, 1, _MOST),
            ("trials", self.trials, 1, 1_000_000), ("confirm_seeds", self.confirm_seeds, 0, _MOST),
        ):  # fmt: skip
            if value is not None and not least <= value <= most:
                raise UserError(f"{name} is {value}; it must be from {least} to {most:,}")
        if self.minutes is not None and not 0 < self.minutes <= 1e6:
            raise UserError(f"minutes is {self.minutes:g}; it must be above 0 and at most 1,000,000")
        if self.seeds + self.confirm_seeds > _MOST:
            raise UserError(
                f"seeds is {self.seeds} and confirm_seeds {self.confirm_seeds}; together they must be at most "
                f"{_MOST:,}, since the seeds after these are for the comparison"
            )
        if self.config.cluster != "none":
            check_spread(self.config, "a trial", "--jobs says how many are made at the same time")
        if self.config.stop_at_return is not None:
            raise UserError("stop_at_return would give runs different lengths, which do not compare; leave it out")

    def _folder(self) -> Path:
        """The default folder, named with characters that every file system takes, as runs are."""
        return Path(self.config.run_dir) / f"tune-{re.sub(r'[^A-Za-z0-9._-]', '-', self.config.env_id)}"

    def _asked(self) -> Asked:
        from a2c.envs.make import make_env
        from a2c.envs.wrapping import Wrapping
        from a2c.model.architecture import factors_of
        from a2c.tuning.space import SHIPPED, read_space
        from a2c.tuning.study import Asked

        config = settled(alone(self.config))
        warn_of_other_environment(config.env_id, self.preset)
        chosen = {name: getattr(config, name) for name in self.named}
        fit = fit_beside_preset(config.env_id, self.preset, chosen)
        settings_from = origins(config, self.preset, fit)
        check_have_effect(config, settings_from)
        env = make_env(config.env_id, config.env_kwargs, wrapping=Wrapping.of(config))
        try:
            actions = "real" if any(one.kind == "gaussian" for one in factors_of(env.action_space)) else "choices"
        finally:
            env.close()
        space = read_space(Path(self.space).expanduser() if self.space else SHIPPED, actions)
        searched = space.without(self.named)
        if not searched.active(config):
            raise UserError(
                f"nothing is left to search: of {', '.join(space.names())}, the command line names all that apply here"
            )
        return Asked(config, settings_from, searched, self.seeds, self.confirm_seeds, self._episodes())

    def _episodes(self) -> int:
        """Episodes of the evaluation at the end of each trial's run: fewer than other runs have, unless asked for.

        Seeds usually differ more than episodes do; where they do not, presets set a larger `eval_episodes`.
        """
        final = self.config.final_eval_episodes
        if "final_eval_episodes" in self.named and final not in ("auto", 0):
            return int(final)
        enough = max(_EPISODES, self.config.eval_episodes)
        return enough if final in ("auto", 0) else min(enough, int(final))

    def _search(
        self, study: Study, budget: Budget, stop: StopSignals, say: _Progress, places: OnCluster | None
    ) -> None:
        from a2c.kernels.compiler import compilation_shown
        from a2c.tuning.search import Helpers, Helping, Measure, made
        from a2c.tuning.trial import looks

        with contextlib.ExitStack() as cleanup:
            cleanup.enter_context(compilation_shown())
            measure: Measure = looks
            helpers: Helping
            if places is None:
                helpers = cleanup.enter_context(Helpers(study.path, study.asked, budget))
            else:
                from a2c.tuning import remote  # Here: it needs Ray.

                actors = remote.Actors(places)
                measurer = cleanup.enter_context(contextlib.closing(remote.Measurer(actors)))
                measurer.prepare(stop)
                measure = measurer.looks
                helpers = cleanup.enter_context(remote.Helpers(study.path, study.asked, budget, actors))
            trials = cleanup.enter_context(contextlib.closing(made(study, budget, stop, measure)))
            for trial in trials:
                say.trial(trial, study)
                for other in helpers.trials():
                    say.trial(other, study)
            for other in helpers.wait(stop):
                say.trial(other, study)

    def _result(self, study: Study, say: _Progress, jobs: int, places: OnCluster | None) -> dict[str, Any]:
        """Compares, writes the preset and the picture, and prints the result; returns it for `--json`."""
        from a2c.tuning import outcome
        from a2c.tuning.importance import importances
        from a2c.tuning.picture import draw
        from a2c.tuning.study import best_of

        trials = study.trials()
        best = best_of(trials)
        if best is None:
            raise UserError(f"no trial of {study.path} came to its end; {outcome.why_none(trials)}")
        unseen = None if best.is_default else self._compared(study, best, say, jobs, places)
        verdict = outcome.verdict(best, unseen)
        preset = outcome.preset(study, best, verdict)
        mattered = importances(study)
        picture = draw(study.asked, trials, mattered, study.path / "importance.png")
        result = outcome.as_json(study, best) | {
            "importances": mattered,
            "unseen": None if unseen is None else outcome.unseen_as_json(unseen),
            "verdict": verdict,
            "preset": str(preset),
            "picture": str(picture),
            "stopped_by": None,
        }
        files.write_json(study.path / "result.json", result)
        if not self.json:
            print(in_words(trials, best, mattered, unseen, verdict))
            print(f"\npicture  {picture}\npreset   {preset}\n")
            config = study.asked.config
            network = ["--network", config.network] if is_own(config.network) else []  # No file chooses an import.
            print(shlex.join(["a2c", "train", config.env_id, "--preset", str(preset), *network]))
        return result

    def _compared(
        self, study: Study, best: Trial, say: _Progress, jobs: int, places: OnCluster | None
    ) -> Unseen | None:
        """Trains the best settings and the user's own on unseen seeds, and compares them."""
        from a2c.tuning import unseen

        if not self.unseen_seeds:
            return None
        asked = study.asked
        seeds = unseen.unseen_seeds(asked, self.unseen_seeds)
        plan = unseen.plan(asked, study.path, best, seeds)
        say.line(f"trial {best.number} and the settings as they were, each on seeds {seeds[0]} to {seeds[-1]}:")
        sides = {}
        for name, settings in zip(plan, (best.settings, {}), strict=True):
            found = {**asked.origins, **dict.fromkeys(settings, unseen.TUNED)}
            runs = []
            try:
                runs_made = (
                    unseen.made(plan[name], found, jobs)
                    if places is None
                    else unseen.made_elsewhere(plan[name], found, places)
                )
                for run in runs_made:
                    runs.append(run)
                    say.unseen(name, run)
            except NumbersError as error:
                if error.env_index is not None:
                    raise
                return unseen.diverged(seeds, study.path, list(plan), name, error)
            sides[name] = sorted(runs, key=lambda run: run.config.seed)
        return unseen.compared_on(seeds, study.path, sides)

    def _stopped(self, study: Study, say: _Progress, stop: StopSignals) -> int:
        """Prints the best trial so far and how to continue; returns the exit code."""
        import signal

        from a2c.tuning import outcome
        from a2c.tuning.study import best_of

        # Runs on unseen seeds handle signals themselves: of theirs, only the KeyboardInterrupt arrives here.
        name = signal.Signals(stop.received).name if stop.received else "SIGINT"
        trials = study.trials()
        best = best_of(trials)
        preset = None
        if best is not None:
            preset = outcome.preset(study, best, "Not compared on other seeds: the study was stopped before that.")
            say.line(f"best so far: {shown_returns([best.value])[0]} (trial {best.number}); {preset} has its settings")
        ended = sum(one.state in ("complete", "pruned") for one in trials)
        say.line(f"stopped by {name}; the same command continues; with --trials {ended}, it compares the best so far")
        if self.json:
            print_json(
                outcome.as_json(study, best)
                | {"unseen": None, "preset": None if preset is None else str(preset), "stopped_by": name}
            )
        return 128 + (stop.received or signal.SIGINT)


class _Progress:
    """Prints the study's progress on standard error."""

    def __init__(self, asked: Asked, budget: Budget) -> None:
        self._asked, self._budget = asked, budget
        self._passing = ""
        self._is_terminal = sys.stderr.isatty()

    def line(self, text: str) -> None:
        self.passing("")
        print(text, file=sys.stderr, flush=True)

    def passing(self, text: str) -> None:
        """Prints a line that the next one overwrites, if standard error is a terminal."""
        if self._is_terminal and (text or self._passing):
            print(f"\r{text:{len(self._passing)}}\r{text}", end="", file=sys.stderr, flush=True)
            self._passing = text

    def begins(self, study: Study) -> None:
        """Prints which settings are searched, and where."""
        asked = self._asked
        for text in lines(asked.config, asked.origins):
            self.line(textwrap.fill(text, 78, subsequent_indent="  "))
        seeds = asked.seeds
        which = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
        if asked.num_more:
            which += f", to {asked.more_seeds[-1]} if one would be the best"
        known = study.trials()
        ended = [one for one in known if one.state in ("complete", "pruned")]
        names = ", ".join(asked.space.reachable(asked.config))
        trials = f"{asked.config.env_id}: trials of {asked.config.total_steps:,} steps on {which}"
        for text in (trials, f"searched: {names}"):
            self.line(textwrap.fill(text, 78, subsequent_indent="  "))
        self.line(f"study {study.path}" + (f", which has {len(ended)} trials" if ended else ""))

    def trial(self, trial: Trial, study: Study) -> None:
        """Prints how far a trial is, or how it ended."""
        from a2c.tuning.outcome import named
        from a2c.tuning.study import best_of

        if trial.state == "running":
            steps, score = trial.looks[-1]
            more = ", on more seeds now" if steps >= self._asked.config.total_steps else ""
            self.passing(f"{trial.number:>6}  {shown_returns([score])[0]:>10}  after {steps:,} steps{more}")
            return
        seconds = f"{trial.seconds or 0:.0f} s"
        if trial.value is None:
            if trial.why:
                indents = f"{trial.number:>6}  ", " " * 8
                self.line(
                    textwrap.fill(f"no end: {trial.why}", 78, initial_indent=indents[0], subsequent_indent=indents[1])
                )
                return
            steps, score = trial.looks[-1]
            self.line(f"{trial.number:>6}  {shown_returns([score])[0]:>10}  given up after {steps:,} steps, {seconds}")
            return
        best = best_of(study.trials())
        is_best = best is not None and best.number == trial.number
        note = "as it was" if trial.is_default else "best so far" if is_best else "to the end"
        seeds = f" on {len(trial.returns)} seeds" if len(trial.returns) > self._asked.num_seeds else ""
        self.line(f"{trial.number:>6}  {shown_returns([trial.value])[0]:>10}  {note}{seeds}, {seconds}")
        if is_best and not trial.is_default:
            for text in textwrap.wrap(named(trial.settings), 60):
                self.line(f"{'':20}{text}")
        if trial.is_default and self._budget.trials is not None:
            runs = (self._budget.trials - 1) * self._asked.num_seeds
            most = _duration(runs * trial.seconds_each / self._budget.jobs)
            self.line(f"{'':8}{self._budget.trials - 1} more take at most about {most}; bad trials are given up early")

    def unseen(self, name: str, run: Any) -> None:
        """Prints the score of a run on an unseen seed."""
        reached = run.summary["final_evaluation"]["mean"]
        self.line(f"  {name:12s} seed {run.config.seed}  {shown_returns([reached])[0]:>10}")


def in_words(
    trials: Sequence[Trial], best: Trial, mattered: Mapping[str, float], unseen: Unseen | None, verdict: str
) -> str:
    """The result of a study, in lines of at most 80 columns."""
    from a2c.tuning.outcome import named

    counts = {state: sum(one.state == state for one in trials) for state in ("complete", "pruned", "failed")}
    ended = f"{counts['complete'] + counts['pruned']} trials, {counts['pruned']} of them given up early"
    cut = f"; {counts['failed']} interrupted and made again" if counts["failed"] else ""
    text = [f"{ended}{cut}", ""]
    default = next((one for one in trials if one.is_default and one.value is not None), None)
    values = shown_returns([best.value, None if default is None else default.value])
    if best.is_default:
        text.append(f"The best settings are your own: {values[0]} on the seeds tuned on")
    else:
        was = f" (your own settings: {values[1]})" if default is not None else ""
        text += [f"The best is trial {best.number}: {values[0]} on the seeds tuned on{was}"]
        text += textwrap.wrap(named(best.settings), 78, initial_indent="  ", subsequent_indent="  ")
    if mattered:
        most = ", ".join(f"{name} {100 * value:.0f} %" for name, value in list(mattered.items())[:4])
        text += ["", *textwrap.wrap(f"What mattered most: {most}", 80)]
    if unseen is not None and unseen.comparison is not None:
        (environment,) = unseen.comparison.environments.values()
        text += ["", f"Seeds {unseen.seeds[0]} to {unseen.seeds[-1]}, final policies"]
        text += table(environment, ("tuned", "as it was"))
    return "\n".join([*text, "", *textwrap.wrap(verdict, 80)])


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.0f} seconds"
