"""Evaluation: whole episodes in new Gymnasium environments with separate seeds. It does not affect training."""

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
"""The most environments of an evaluation, if nobody chose their number."""

MOST_STEPS = 200_000
"""A longer episode counts as one that never ends."""

_MOST_LISTED = 10_000
"""The most episodes that are listed one by one in a file."""

_AUTO_MOST, _AUTO_LEAST, _AUTO_SHARE = 100, 10, 5
"""`final_eval_episodes` auto: 100 episodes, or as many as take a fifth of the run's steps, but at least 10."""


class Layout(NamedTuple):
    """Where the environments of an evaluation run. Only `num_envs` changes results."""

    num_envs: int | Literal["auto"] = "auto"
    """Environments side by side; another number plays other episodes. auto: the fewest for the rounds of 16."""
    num_workers: int = 0
    """The most worker processes."""
    isolate: bool = False
    """Whether every environment is in a worker."""
    env_timeout_seconds: float = 60.0
    """How long a step in a worker may take before the environment counts as hung."""
    watch: Callable[[Envs], contextlib.AbstractContextManager[None]] = lambda envs: contextlib.nullcontext()
    """Makes a context that is entered while the environments play."""
    note: Callable[[list[Event]], None] = lambda events: None
    """Called with the events of the environments."""


class Evaluation(NamedTuple):
    """The results of some episodes."""

    returns: list[float]  # sum of rewards of each episode
    lengths: list[int]  # steps of each
    greedy: bool
    unfinished: int = 0  # how many of these episodes were cut off; they count with their return so far
    info: Mapping[str, float] = MappingProxyType({})  # means of the numbers of `log_info` over the episodes with them

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """Standard deviation of the returns over episodes."""
        return float(np.std(self.returns))

    def summary(self) -> dict[str, Any]:
        """The reported numbers; None stands for NaN and infinity, which JSON does not have."""
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
        """Returns and lengths of the first 10,000 episodes, and how they were played; None as in `summary`."""
        returns = [value if math.isfinite(value) else None for value in self.returns[:_MOST_LISTED]]
        return {
            "returns": returns,
            "lengths": self.lengths[:_MOST_LISTED],
            "unfinished": self.unfinished,
            "greedy": self.greedy,
        }


def in_words(summary: Mapping[str, Any]) -> str:
    """A summary as a line: mean, standard deviation, range, and the number and kind of episodes."""
    mean, std, low, high = shown_returns([summary[name] for name in ("mean", "std", "min", "max")])
    how = "greedy" if summary["greedy"] else "sampled"
    info = "".join(f", {name} {value:.4g}" for name, value in summary.get("info", {}).items())
    unfinished = f", {summary['unfinished']} of them unfinished" if summary.get("unfinished") else ""
    return f"{mean} +- {std} ({low} to {high}) over {summary['episodes']} {how} episodes{unfinished}{info}"


def shown_returns(values: Sequence[float | None]) -> list[str]:
    """Returns to print side by side: with four digits of the largest, and at least one after the point.

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
    """Environments for evaluations, created for the first one and used again until `close`.

    Every evaluation with the same seed and index plays the same episodes.
    """

    def __init__(
        self,
        kind: Kind,
        layout: Layout,
    ) -> None:
        """Creates no environment yet.

        Args:
            kind: The environment; its seed decides the episodes and the sampled actions.
            layout: How many environments, and where they run.
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
            policy: The policy.
            episodes: How many, at least 1. "auto": 100, or as many rounds as take a fifth of total_steps, but at least
                10.
            greedy: Whether to take the most probable action; False samples.
            index: Each index is another set of episodes of the seed.
            check: Called at every step; may raise to end the evaluation.
            show: Called with the number of episodes so far, whenever one has ended.
            total_steps: The run's steps. If the environment sets no limit, an episode is cut off as unfinished after a
                fiftieth of them, but not before 2,000.
            trace: Records actions and values.

        Raises:
            UserError: The environment is unknown, or its spaces are not the policy's.
            EnvError: The environment raised.
            NumbersError: It gave an observation or a reward that is not finite.
            WorkerError: Workers died or hung again and again at the same step.
        """
        envs = self._made(_AUTO_LEAST if episodes == "auto" else episodes)
        try:
            policy.check_spaces(envs.single_observation_space, envs.single_action_space)
            with self._layout.watch(envs):
                # Training uses episode_seed with env_index >= 0, so these seeds are apart from it.
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
            again.failed_episode = envs.stepper.failed_episode(error)
            self.close()
            raise again from error
        except WorkerError as error:
            lost = WorkerError(f"{error}, during evaluation")
            lost.failed_episode = envs.stepper.failed_episode(error)
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
            # The fewest environments that need no more rounds than 16 would.
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
    """Runs whole episodes of a policy in new environments; arguments and errors as of `Evaluator.evaluate`."""
    evaluator = Evaluator(kind, layout)
    try:
        return evaluator.evaluate(policy, episodes, greedy, index, check, total_steps=total_steps)
    finally:
        evaluator.close()


def _most_steps(limit: int | None, total_steps: int) -> int:
    """The number of steps after which an episode is cut off."""
    return MOST_STEPS if limit is not None else min(MOST_STEPS, max(2_000, total_steps // 50))


class _Play:
    """One evaluation: the running episodes, and those that have ended. Environment i plays episodes i, i + N, ..."""

    def __init__(
        self,
        envs: Envs,
        policy: Policy,
        rng: np.random.Generator | None,
        most_steps: int,
        info_keys: tuple[str, ...] = (),
        trace: Trace | None = None,
    ) -> None:
        """Before its first episode. Actions are greedy without a generator, otherwise sampled with its noise."""
        self._trace = trace
        self._envs, self._policy, self._rng, self._most_steps = envs, policy, rng, most_steps
        self._first = envs.episodes.copy()  # [N] number of each environment's first episode
        n = envs.num_envs
        # Of the running episodes, [N]; below, lists of those that have ended.
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
        """Plays from the first observations [N, ...] until the last episode has ended."""
        envs, n = self._envs, self._envs.num_envs
        # Each environment has a fixed number of episodes: taking the first to end would favour short ones.
        wanted = _AUTO_MOST if episodes == "auto" else episodes
        left = np.array([len(range(i, wanted, n)) for i in range(n)])
        is_open = episodes == "auto"  # Until every environment has ended one episode, their number is not decided.
        self._require_finite(left > 0, obs, np.zeros(n), ended=np.zeros(n, np.bool_), more=0)
        carry, is_counted = self._policy.begin(n), left > 0
        while is_counted.any():
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
            if carry.size:
                carry[all_ended] = 0
            self._require_finite(is_counted, step.next_obs, step.reward, step.terminated, more=1)
            self._return += step.reward
            self._length += 1
            over = (all_ended | (self._length >= self._most_steps)) & is_counted
            if not over.any():
                continue
            for i in np.flatnonzero(over).tolist():
                ended = bool(all_ended[i])
                self._returns[i].append(float(self._return[i]))
                self._lengths[i].append(int(self._length[i]))
                self._unfinished[i].append(not ended)
                self._noted[i].append(step.noted[i].copy() if ended else np.full(len(self._keys), UNKNOWN))
                left[i] = left[i] - 1 if ended else 0  # An endless episode is still running: no other can follow.
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
            is_counted = left > 0
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
        """Refuses NaN and infinity, except in the last observation of a terminated episode, which nobody uses.

        Args:
            counted: [N] which environments' episodes count.
            obs: [N, ...].
            reward: [N].
            ended: [N] which episodes terminated.
            more: 1 after a step, 0 for the first observation of an episode.

        Raises:
            NumbersError: With the environment's steps up to it.
        """
        if finite(reward).all() and finite(obs).all():
            return
        for i in np.flatnonzero(counted).tolist():
            if not (finite(reward[i]) and (ended[i] or finite(obs[i]).all())):
                what = f"an observation of {brief(obs[i])}" if finite(reward[i]) else f"a reward of {reward[i]}"
                episode = int(self._first[i]) + len(self._lengths[i])
                failed = self._envs.stepper.episode_up_to(i, episode, int(self._length[i]) + more, 0)
                where = f"episode {episode}"
                if failed is not None:
                    where += f", episode seed {failed.episode_seed}, step {len(failed.actions)}"
                error = NumbersError(
                    f"environment {i} gave {what} during evaluation ({where}); it must be finite",
                    {},
                    i,
                )
                error.failed_episode = failed
                raise error
