"""The evaluations of a run under way: when they are due, their results, and the best policy so far."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from a2c.config import Config
from a2c.envs import Envs
from a2c.envs.construction import EnvSource
from a2c.envs.make import Kind, kind_for
from a2c.envs.stepper import Event
from a2c.errors import EnvError, NumbersError, UserError, WorkerError
from a2c.evaluation import Evaluation, Evaluator, Layout, shown_returns
from a2c.finite import finite_or_none
from a2c.learner import Learner
from a2c.policy import Policy
from a2c.run.events import save_failed_episode
from a2c.run.folder import Run
from a2c.run.logs import Logs
from a2c.run.policies import Best, BestOrFinal
from a2c.run.standing import Evaluated
from a2c.schedule import is_due
from a2c.signals import StopSignals
from a2c.trace import Critic, Trace

_MOST_LINES = 20
"""About how many evaluations of a run are printed."""


class Audience(Protocol):
    """Shows results of evaluations to the user."""

    def progress(self, text: str) -> None:
        """Shows a line with the result of an evaluation, as `a2c.screen.Display` does."""
        ...


class Surroundings(NamedTuple):
    """What a run uses of the process that it runs in."""

    stop: StopSignals
    """Ends an evaluation."""
    audience: Audience
    watch: Callable[[Envs], contextlib.AbstractContextManager[None]]
    """A context manager that watches environments while they are stepped, as `a2c.envs.watchdog.watched`."""
    num_workers: int
    """Worker processes of the training; an evaluation may have as many."""


def side_by_side(config: Config, kind: Kind) -> int:
    """How many environments an evaluation steps side by side; the number decides which episodes are played.

    It depends only on the settings, so that a resumed run evaluates like one that was never interrupted.
    """
    if config.eval_num_envs != "auto":
        return config.eval_num_envs
    # A callable that makes a vector environment may support only the number of the training.
    return config.num_envs if kind.is_vector else min(16, config.eval_episodes)


class Evaluations:
    """Evaluates the policy of a run, in environments of its own, without any influence on the training.

    Attributes:
        best: The best policy so far.
        seconds: How long all evaluations took.
        latest: The result of the last evaluation during training.
        under_way: The progress of the present evaluation, in words; empty if there is none.
        at_the_end: The results of the evaluations at the end of the run, by name.
    """

    def __init__(
        self,
        run: Run,
        config: Config,
        env: EnvSource,
        learner: Learner,
        logs: Logs,
        surroundings: Surroundings,
        note: Callable[[Sequence[Event]], None],
    ) -> None:
        """Prepares evaluations. Arguments as in `Session`; `note` is called with events of the environments."""
        self._run, self._config, self._learner, self._logs = run, config, learner, logs
        self._stop, self._audience = surroundings.stop, surroundings.audience
        kind = kind_for(config, env)
        layout = Layout(
            side_by_side(config, kind),
            surroundings.num_workers,
            config.isolate_envs,
            config.env_timeout_seconds,
            surroundings.watch,
            note,
        )
        self._evaluator = Evaluator(kind, layout)
        self.best = Best(run.path)
        self.seconds = 0.0
        self.latest: Evaluated | None = None
        self.under_way = ""
        self.at_the_end: dict[str, Any] = {}
        self._episodes: dict[str, Any] = {}  # of the evaluations at the end, for evaluation.json
        self._evaluated_at = 0  # steps

    @property
    def has_reached(self) -> bool:
        """Whether an evaluation during training reached `stop_at_return`."""
        wanted = self._config.stop_at_return
        return wanted is not None and self.best.mean >= wanted

    def state(self) -> dict[str, Any]:
        """The notes for a checkpoint; the best policy is saved there in files of its own."""
        return {
            "eval_seconds": self.seconds,
            "kept_at": self.best.steps,
            "evaluated_at": self._evaluated_at,
            "best": finite_or_none(self.best.mean),
        }

    def restore(self, notes: dict[str, Any], contents: dict[str, bytes]) -> None:
        """Continues from a `state()`, and restores the policy that was best then, from these files.

        Raises:
            KeyError, TypeError, ValueError: Something is missing or has another type.
            UserError: The policy's folder cannot be written.
        """
        self.seconds = float(notes.get("eval_seconds", 0.0))
        self._evaluated_at = int(notes["evaluated_at"])
        steps = None if notes["kept_at"] is None else int(notes["kept_at"])
        self.best.restore(steps, -math.inf if notes["best"] is None else float(notes["best"]), contents)

    def evaluate(self) -> None:
        """Evaluates the policy, which becomes the best if none was better.

        Every evaluation during training plays the same episodes, so that luck does not decide between policies; the
        evaluations at the end play other ones. If an evaluation raises, an event records it and training goes on.

        Raises:
            Stopped: A signal asked the run to end.
        """
        config, policy = self._config, self._learner.policy()
        evaluation = self._evaluate(policy, config.eval_episodes, config.eval_greedy, index=1)
        self._evaluated_at = self._learner.steps
        if evaluation is None:
            return
        self.latest = Evaluated(evaluation.mean, evaluation.std, self._learner.steps)
        row = {"evaluation_return": evaluation.mean, "evaluation_std": evaluation.std}
        row["evaluation_length"] = float(np.mean(evaluation.lengths))
        row |= {f"evaluation_info/{key}": value for key, value in evaluation.info.items()}
        if evaluation.unfinished:
            row["evaluation_unfinished"] = float(evaluation.unfinished)
        self._logs.write(self._learner.steps, row)
        is_best = self.best.is_reached_by(evaluation.mean)
        if is_best:
            self.replace_best(policy, evaluation)
        self._report(evaluation, is_best)

    def _report(self, evaluation: Evaluation, is_best: bool) -> None:
        """Prints the result of an evaluation; of hundreds, only about _MOST_LINES at regular intervals."""
        config, steps = self._config, self._learner.steps
        every = max(config.eval_every_steps, config.total_steps // _MOST_LINES)
        is_last = steps >= config.total_steps or self.has_reached
        if not config.eval_every_steps or is_due(every, steps, config.eval_every_steps) or is_last:
            mean, std = shown_returns([evaluation.mean, evaluation.std])
            unfinished = f", {evaluation.unfinished} unfinished" if evaluation.unfinished else ""
            best = ", best so far" if is_best else ""
            reached = f"; stop_at_return {config.stop_at_return:g} is reached" if self.has_reached else ""
            self._audience.progress(f"{steps:>12,} steps: return {mean} +- {std}{unfinished}{best}{reached}")

    def evaluate_if_due(self) -> None:
        """Evaluates if that is due and not done yet.

        Raises:
            Stopped: A signal asked the run to end.
        """
        config, steps = self._config, self._learner.steps
        if is_due(config.eval_every_steps, steps, config.steps_per_update) and self._evaluated_at != steps:
            self.evaluate()

    def replace_best(self, policy: Policy, evaluation: Evaluation | None) -> None:
        """Makes a policy the best one; if it cannot be written now, the next checkpoint writes it."""
        try:
            self.best.replace(policy, self._learner.steps, evaluation)
        except UserError as error:
            self._run.events.warn(
                "failed_saves",
                self._learner.steps,
                f"{error}; training goes on, and the policy is written with a checkpoint",
            )

    def end(self) -> None:
        """Evaluates the best policy and the final one, greedily, on episodes that no earlier evaluation played."""
        episodes = self._config.final_eval_episodes
        if self.best.steps is None and (episodes or self._config.eval_every_steps):
            self.evaluate()
        if self.best.steps is None:  # No policy was evaluated.
            self.replace_best(self._learner.policy(), None)
        policies_by_name: dict[str, BestOrFinal] = (
            {"evaluation": "best", "final_evaluation": "final"} if episodes else {}
        )
        for name, which in policies_by_name.items():
            is_final = which == "final" or self.best.steps == self._learner.steps
            if which == "final" and self.best.steps == self._learner.steps:
                if "evaluation" in self.at_the_end:  # The same policy on the same episodes.
                    self.at_the_end[name] = self.at_the_end["evaluation"]
                    self._episodes[which] = self._episodes["best"]
                continue
            policy = self._run.policy(which)
            trace = Trace(policy, self._critic() if is_final else None)
            evaluation = self._evaluate(policy, episodes, greedy=True, index=0, trace=trace)
            if evaluation is not None:
                self.at_the_end[name] = evaluation.summary()
                self._episodes[which] = {**evaluation.episodes(), **trace.summary()}
        if self._episodes:
            try:
                self._run.write_episodes(self._episodes)
            except UserError as error:  # The results themselves are in the summary.
                self._run.events.warn("failed_saves", self._learner.steps, f"{error}; the report goes without it")

    def _critic(self) -> Critic | None:
        """What the final critic's values predict; None if evaluations do not show that.

        They do not if it learnt values of lives, took time limits for ends, or was not trained.
        """
        config = self._config
        if config.terminal_on_life_loss or config.critic != "bootstrap":
            return None
        return Critic(config.gamma, self._learner.value_scale, "signs" if config.clip_rewards else "own")

    def _evaluate(
        self, policy: Policy, episodes: int | Literal["auto"], greedy: bool, index: int, trace: Trace | None = None
    ) -> Evaluation | None:
        """Evaluates a policy; None if that raised, which an event records.

        Raises:
            Stopped: A signal asked the run to end.
        """
        start = time.perf_counter()
        most = 100 if episodes == "auto" else episodes

        def show(ended: int) -> None:
            self.under_way = f"evaluating, {ended} of {most} episodes"

        show(0)
        try:
            return self._evaluator.evaluate(
                policy,
                episodes,
                greedy,
                index,
                self._stop.check,
                show,
                self._config.total_steps,
                trace,
            )
        except (UserError, EnvError, WorkerError) as error:
            hint = ""
            failed = error.failed_episode if isinstance(error, EnvError | WorkerError | NumbersError) else None
            if failed is not None:
                with contextlib.suppress(UserError):  # A full disk is no reason to stop.
                    save_failed_episode(self._run.path, failed, str(error))
                    hint = f"; {self._run.command('replay')} takes the same steps again"
            self._run.events.warn(
                "failed_evaluations",
                self._learner.steps,
                f"an evaluation failed, and the run goes on without it: {error}{hint}",
            )
            return None
        finally:
            self.seconds += time.perf_counter() - start
            self.under_way = ""

    def close(self) -> None:
        """Closes the environments."""
        self._evaluator.close()
