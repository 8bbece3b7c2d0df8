"""Evaluation: whole episodes on fresh Gymnasium environments with seeds of their own. Training never feels it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.envs import Envs
from a2c.envs.make import Kind, gymnasium_envs
from a2c.envs.notes import UNKNOWN, means
from a2c.envs.placement import Placement, Vectorization
from a2c.envs.stepper import Event
from a2c.errors import EnvError, NumbersError, WorkerError
from a2c.finite import brief, finite
from a2c.policy import Policy
from a2c.randomness import episode_seed, generator
from a2c.trace import Trace

_SIDE_BY_SIDE = 16
"""Environments evaluated at the same time, at most, unless told."""

MOST_STEPS = 200_000
"""An episode longer than this is taken for one that never ends."""

_MOST_LISTED = 10_000
"""Episodes of which each has its place in a file."""

_AUTO_MOST, _AUTO_LEAST, _AUTO_SHARE = 100, 10, 5
"""Of `final_eval_episodes` auto: so many episodes, as far as they fit in a fifth of the run's steps; at least ten."""


class Layout(NamedTuple):
    """Where the environments of an evaluation are, and what looks after them. Only `num_envs` changes results."""

    num_envs: int | Literal["auto"] = "auto"
    """Side by side; decides which episodes are played. auto: up to 16, so that all end with the last round."""
    num_workers: int = 0
    """Worker processes, at most."""
    isolate: bool = False
    """Whether every environment is in a worker."""
    env_timeout_seconds: float = 60.0
    """How long an environment in a worker may do nothing."""
    watch: Callable[[Envs], contextlib.AbstractContextManager[None]] = lambda envs: contextlib.nullcontext()
    """Makes what is entered while the environments play."""
    note: Callable[[list[Event]], None] = lambda events: None
    """Called with what happened to the environments."""


class Evaluation(NamedTuple):
    """What some episodes brought."""

    returns: list[float]  # sum of rewards of each episode
    lengths: list[int]  # steps of each
    greedy: bool
    unfinished: int = 0  # of these episodes, how many were given up before they ended; they count with what they had
    info: Mapping[str, float] = MappingProxyType({})  # means of the numbers of `log_info` over those that have them

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """Standard deviation of the returns over episodes."""
        return float(np.std(self.returns))

    def summary(self) -> dict[str, Any]:
        """The numbers that are reported; null stands for NaN or infinity, which JSON does not have."""
        numbers = {
            "mean": self.mean,
            "std": self.std,
            "min": float(np.min(self.returns)),
            "max": float(np.max(self.returns)),
            "mean_length": float(np.mean(self.lengths)),
        }
        finite = {name: number if math.isfinite(number) else None for name, number in numbers.items()}
        info = {"info": dict(self.info)} if self.info else {}
        return {**finite, **info, "episodes": len(self.returns), "unfinished": self.unfinished, "greedy": self.greedy}

    def episodes(self) -> dict[str, Any]:
        """Return and length of every episode, of the first 10,000, and how they were played; null as in `summary`."""
        returns = [value if math.isfinite(value) else None for value in self.returns[:_MOST_LISTED]]
        return {
            "returns": returns,
            "lengths": self.lengths[:_MOST_LISTED],
            "unfinished": self.unfinished,
            "greedy": self.greedy,
        }


def in_words(summary: Mapping[str, Any]) -> str:
    """A summary as a line: mean, standard deviation and range over how many episodes of what kind."""
    mean, std, low, high = shown_returns([summary[name] for name in ("mean", "std", "min", "max")])
    how = "greedy" if summary["greedy"] else "sampled"
    info = "".join(f", {name} {value:.4g}" for name, value in summary.get("info", {}).items())
    unfinished = f", {summary['unfinished']} of them unfinished" if summary.get("unfinished") else ""
    return f"{mean} +- {std} ({low} to {high}) over {summary['episodes']} {how} episodes{unfinished}{info}"


def shown_returns(values: Sequence[float | None]) -> list[str]:
    """Returns as they are printed beside each other: four digits of the largest, and one behind the point at least.

    Example:
        >>> shown_returns([500.0, 0.25])
        ['500.0', '0.2']
        >>> shown_returns([0.9553, 0.0105])
        ['0.9553', '0.0105']
    """
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value)]
    largest = max(sizes, default=0.0)
    digits = 1 if largest == 0 else min(6, max(1, 3 - math.floor(math.log10(largest))))
    return [
        "not finite" if value is None or not math.isfinite(value) else f"{value:.{digits}f}" if largest < 1e7
        else f"{value:.4g}"
        for value in values
    ]  # fmt: skip


class Evaluator:
    """Environments for evaluations, made at the first one and used again until it is closed.

    Every evaluation with the same seed and index plays the same episodes.
    """

    def __init__(
        self,
        kind: Kind,
        layout: Layout,
    ) -> None:
        """Makes nothing yet.

        Args:
            kind: What is played on; its seed decides the episodes and the sampled actions.
            layout: How many, and where.
        """
        self._kind, self._layout = kind, layout
        self._envs: Envs | None = None

    def evaluate(
        self,
        policy: Policy,
        episodes: int | Literal["auto"],
        greedy: bool,
        index: int = 0,
        check: Callable[[], None] = lambda: None,
        show: Callable[[int], None] = lambda episodes: None,
        total_steps: int = 0,
        trace: Trace | None = None,
    ) -> Evaluation:
        """Runs whole episodes of a policy.

        Args:
            policy: What acts.
            episodes: How many, at least 1. "auto": 100, or as many rounds as fit in a fifth of total_steps, at least
                10.
            greedy: The most probable action; False samples.
            index: Which set of episodes of the seed; each set is another.
            check: Called at every step; may raise to end the evaluation.
            show: Called with the number of episodes that have ended, whenever one has.
            total_steps: Of the run. Where the environment itself sets no limit, an episode is given up as unfinished
                after a fiftieth of them, but not before 2,000.
            trace: Looks on.

        Raises:
            UserError: The environment is unknown, or its spaces are not the policy's.
            EnvError: It raised.
            NumbersError: It gave an observation or a reward that is not finite.
            WorkerError: Workers died or hung in one and the same place.
        """
        envs = self._made(_AUTO_LEAST if episodes == "auto" else episodes)
        try:
            policy.check_spaces(envs.single_observation_space, envs.single_action_space)
            with self._layout.watch(envs):
                # A seed apart from those of training, and another for each set.
                obs = envs.begin(episode_seed(self._kind.seed, -1 - index, 0))
                most = _most_steps(envs.max_episode_steps, total_steps)
                rng = None if greedy else generator(self._kind.seed, "evaluation", index)
                play = _Play(envs, policy, rng, most, self._kind.feedback.info_keys, trace)
                return play.run(obs, episodes, total_steps, check, show)
        except EnvError as error:
            phase = f"{error.phase} during evaluation"
            again = EnvError(
                error.env_index, phase, error.episode, error.episode_seed, error.step, error.details, error.raised
            )
            again.failure = envs.stepper.failure(error)
            self.close()
            raise again from error
        except WorkerError as error:
            lost = WorkerError(f"{error}, during evaluation")
            lost.failure = envs.stepper.failure(error)
            self.close()
            raise lost from error
        except BaseException:
            self.close()
            raise
        finally:
            self._layout.note(envs.take_events())

    def close(self) -> None:
        """Closes the environments; the next evaluation makes new ones."""
        if self._envs is not None:
            envs, self._envs = self._envs, None
            envs.close()

    def _made(self, episodes: int) -> Envs:
        if self._envs is None:
            layout = self._layout
            # As many at a time as let all of them end with the last round.
            auto = -(-episodes // -(-episodes // _SIDE_BY_SIDE))
            n = auto if layout.num_envs == "auto" else layout.num_envs
            workers = min(layout.num_workers, n if layout.isolate else n - 1)
            where: Vectorization = "workers" if workers else "local"
            self._envs = gymnasium_envs(
                self._kind, n, Placement(where, workers, layout.isolate, layout.env_timeout_seconds)
            )
        return self._envs


def evaluate(
    policy: Policy,
    kind: Kind,
    episodes: int,
    greedy: bool,
    index: int = 0,
    check: Callable[[], None] = lambda: None,
    layout: Layout = Layout(),  # noqa: B008 - immutable
    total_steps: int = 50 * MOST_STEPS,
) -> Evaluation:
    """Runs whole episodes of a policy on fresh environments, once: as `Evaluator`, see there.

    Raises:
        UserError: The environment is unknown, or its spaces are not the policy's.
        EnvError: It raised.
        NumbersError: It gave an observation or a reward that is not finite.
        WorkerError: Workers died or hung in one and the same place.
    """
    evaluator = Evaluator(kind, layout)
    try:
        return evaluator.evaluate(policy, episodes, greedy, index, check, total_steps=total_steps)
    finally:
        evaluator.close()


def _most_steps(limit: int | None, total_steps: int) -> int:
    """After how many steps an episode is given up."""
    return MOST_STEPS if limit is not None else min(MOST_STEPS, max(2_000, total_steps // 50))


class _Play:
    """Episodes under way, and those that have ended. Environment i plays episodes i, i + N, ..."""

    def __init__(
        self,
        envs: Envs,
        policy: Policy,
        rng: np.random.Generator | None,
        most_steps: int,
        info_keys: tuple[str, ...] = (),
        trace: Trace | None = None,
    ) -> None:
        """Begins with none; actions are greedy without a generator, sampled with its noise."""
        self._trace = trace
        self._envs, self._policy, self._rng, self._most_steps = envs, policy, rng, most_steps
        self._first = envs.episodes.copy()  # [N] number of each environment's first episode
        n = envs.num_envs
        # Of the episodes under way, [N], and of those that have ended.
        self._return, self._length = np.zeros(n), np.zeros(n, np.int64)
        self._returns: list[list[float]] = [[] for _ in range(n)]
        self._lengths: list[list[int]] = [[] for _ in range(n)]
        self._unfinished: list[list[bool]] = [[] for _ in range(n)]
        self._keys = info_keys
        self._noted: list[list[NDArray[np.float64]]] = [[] for _ in range(n)]  # [M] each

    def run(
        self,
        obs: NDArray[Any],
        episodes: int | Literal["auto"],
        total_steps: int,
        check: Callable[[], None],
        show: Callable[[int], None],
    ) -> Evaluation:
        """Plays from the first observations [N, ...] to the last end."""
        envs, n = self._envs, self._envs.num_envs
        # Which ones count does not depend on how long they are.
        wanted = _AUTO_MOST if episodes == "auto" else episodes
        left = np.array([len(range(i, wanted, n)) for i in range(n)])
        is_open = episodes == "auto"  # Until every environment has played one, as many are played as there may be.
        self._require_finite(left > 0, obs, np.zeros(n), ended=np.zeros(n, np.bool_), more=0)
        carry = self._policy.begin(n)
        while (left > 0).any():
            check()
            noise = None if self._rng is None else self._policy.draw_noise(self._rng, n)
            before = carry
            actions, carry = self._policy.act_batch(obs, noise, envs.mask, before)
            if self._trace is not None:
                self._trace.before(obs, actions, before)
            step = envs.advance(actions)
            if self._trace is not None:
                self._trace.after(step, carry)
            obs = step.obs
            all_ended = step.terminated | step.truncated
            carry[all_ended] = 0
            self._require_finite(left > 0, step.next_obs, step.reward, step.terminated, more=1)
            self._return += step.reward
            self._length += 1
            for i in np.flatnonzero((all_ended | (self._length >= self._most_steps)) & (left > 0)).tolist():
                ended = bool(all_ended[i])
                self._returns[i].append(float(self._return[i]))
                self._lengths[i].append(int(self._length[i]))
                self._unfinished[i].append(not ended)
                self._noted[i].append(step.noted[i].copy() if ended else np.full(len(self._keys), UNKNOWN))
                left[i] = left[i] - 1 if ended else 0  # What goes on for ever goes on.
                show(sum(map(len, self._unfinished)))
                if left[i]:
                    self._return[i] = self._length[i] = 0
                    self._require_finite(np.arange(n) == i, obs, np.zeros(n), np.zeros(n, np.bool_), more=0)
            if is_open and all(self._unfinished):
                is_open = False
                rounds = total_steps // _AUTO_SHARE // sum(lengths[0] for lengths in self._lengths)
                wanted = n * min(-(-_AUTO_MOST // n), max(-(-_AUTO_LEAST // n), rounds))
                wanted = min(wanted, max(_AUTO_MOST, n))
                for i in range(n):
                    enough = len(range(i, wanted, n)) - len(self._unfinished[i])
                    left[i] = max(0, min(int(left[i]), enough))
        counted = [min(len(range(i, wanted, n)), len(self._unfinished[i])) for i in range(n)]
        returns = [value for i in range(n) for value in self._returns[i][: counted[i]]]
        lengths = [value for i in range(n) for value in self._lengths[i][: counted[i]]]
        unfinished = sum(value for i in range(n) for value in self._unfinished[i][: counted[i]])
        noted = [row for i in range(n) for row in self._noted[i][: counted[i]]]
        info = means(self._keys, np.array(noted).reshape(len(noted), len(self._keys)))
        return Evaluation(returns, lengths, self._rng is None, unfinished, info)

    def _require_finite(
        self,
        counted: NDArray[np.bool_],
        obs: NDArray[Any],
        reward: NDArray[np.float64],
        ended: NDArray[np.bool_],
        more: int,
    ) -> None:
        """Refuses NaN and infinity; nobody acts on the last observation of a terminated episode.

        Args:
            counted: [N] whose episodes count.
            obs: [N, ...].
            reward: [N].
            ended: [N] whose episode the task ended.
            more: Whether there was a step: 1, or 0 for the first observation of an episode.

        Raises:
            NumbersError: With the way of the environment there.
        """
        if finite(reward).all() and finite(obs).all():
            return
        for i in np.flatnonzero(counted).tolist():
            if not (finite(reward[i]) and (ended[i] or finite(obs[i]).all())):
                what = f"an observation of {brief(obs[i])}" if finite(reward[i]) else f"a reward of {reward[i]}"
                episode = int(self._first[i]) + len(self._lengths[i])
                way = self._envs.stepper.failure_at(i, episode, int(self._length[i]) + more, 0)
                where = f"episode {episode}"
                if way is not None:
                    where += f", episode seed {way.episode_seed}, step {len(way.actions)}"
                error = NumbersError(
                    f"environment {i} gave {what} during evaluation ({where}); it must be finite",
                    {},
                    i,
                )
                error.failure = way
                raise error
