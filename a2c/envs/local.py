"""A share of the environments, stepped one after another in whatever process holds it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import gymnasium
from numpy.typing import NDArray

from a2c.envs.episode import ReplayError, SeededEnv, close, same_bits
from a2c.envs.history import Course
from a2c.envs.memory import BEATS, FOREIGN, ROW, Block
from a2c.envs.seeding import Watch
from a2c.envs.values import Feedback
from a2c.errors import EnvError

Info = dict[str, Any]


class Share:
    """Environments stepped one after another, each in its row of a Block."""

    def __init__(
        self,
        make: Callable[[], gymnasium.Env[Any, Any]],
        seed: int,
        indices: Sequence[int],
        block: Block,
        line: memoryview,
        first: gymnasium.Env[Any, Any] | None = None,
        feedback: Feedback = Feedback(),  # noqa: B008 - immutable
    ) -> None:
        """Constructs the environments.

        Args:
            make: Constructs one environment.
            seed: The run's seed.
            indices: Which of the run's environments these are.
            block: Their rows.
            line: Flags, where whoever waits can see which environment is at work, and that it gets on.
            first: The first of them, where that was constructed already.
            feedback: How what steps bring is taken.

        Raises:
            EnvError: One of them could not be constructed; those before it are closed.
        """
        self._block, self._line = block, line
        block.mask[...] = 1
        self._is_masked = [False] * len(indices)  # whether that is otherwise in a row
        self._watch = Watch()
        self._watch.begin()
        self.envs: list[SeededEnv] = []
        try:
            for row, index in enumerate(indices):
                line[ROW] = row
                self.envs.append(SeededEnv(make, seed, index, None if row else first, feedback))
                self.envs[-1].require_rows(block.obs, block.action, block.mask)
                self._beat()
        except BaseException:
            self.close()  # They may hold what the next attempt needs.
            raise
        self._end_watch()

    def begin_anew(self, seed: int) -> None:
        """From the next reset on, goes through the episodes of another seed."""
        for env in self.envs:
            env.begin_anew(seed)

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: dict[str, Any] | None) -> list[Info]:
        """Begins the next episode of the masked environments, writes `obs`, and returns everybody's infos.

        Raises:
            EnvError: A reset raised.
        """
        infos: list[Info] = [{} for _ in self.envs]
        self._watch.begin()
        for row, env in enumerate(self.envs):
            self._line[ROW] = row
            if mask[row]:
                self._block.obs[row], infos[row] = env.reset(seeds[row], options)
                self._write_mask(row, env)
            self._beat()
        self._end_watch()
        return infos

    def restore(self, courses: Sequence[Course], obs: NDArray[Any]) -> list[str | None]:
        """Brings every environment to where it stood, and writes `obs`; one that cannot begins its next episode.

        Args:
            courses: One each.
            obs: What each gave when it stood there.

        Returns:
            For each, why it could not; None: it stands there, to the bit as far as its observation tells.

        Raises:
            EnvError: A reset raised.
        """
        faults: list[str | None] = []
        is_checked = False  # One for all, as they are of one kind.
        for row, (env, course) in enumerate(zip(self.envs, courses, strict=True)):
            self._line[ROW] = row
            fault = None
            if course.forgotten:
                fault = f"of the {course.length} steps of its episode, only the last {len(course.actions)} were kept"
            elif course.episode >= 0:
                try:
                    if not is_checked and len(course.actions):
                        is_checked = True
                        env.check_memory(course, self._beat)
                    self._block.obs[row] = env.restore(course, self._beat)
                    if not same_bits(self._block.obs[row], obs[row]):
                        fault = f"its observation differs after the same {env.steps} steps"
                except (ReplayError, EnvError) as error:
                    fault = str(error).strip().splitlines()[-1]
            else:  # Never reset, but perhaps told which seed to begin with.
                env.seed, env.first = course.root, course.first
            if fault is not None:
                env.stand_before(course)
                env.episode += 1
                self._block.obs[row], _ = env.reset()
            self._write_mask(row, env)
            self._beat()
            faults.append(fault)
        return faults

    def step(self, skip: Collection[int] = ()) -> list[Info]:
        """Steps every environment and begins the next episode where one ended.

        Reads `action` and writes the rest of the block. Copies what the environment returns, so an environment may
        reuse its arrays.

        Args:
            skip: Rows to leave as they are.

        Returns:
            The infos; where an episode ended, those of the reset, with the last step's under "final_info".

        Raises:
            EnvError: A step or reset raised.
        """
        infos: list[Info] = []
        _, next_obs, final_obs, reward, terminated, truncated, lost_life, _, noted = self._block
        # An environment may keep its action (to penalise changes, say): give it one that nobody writes again.
        actions = self._block.action.copy()
        line = self._line
        is_watched = self._watch.is_due()
        if is_watched:
            self._watch.begin()
        for row, (env, action) in enumerate(zip(self.envs, actions, strict=True)):
            line[ROW] = row
            if row in skip:
                infos.append({})
                continue
            obs, reward[row], ended, cut, info = env.step(action)
            terminated[row], truncated[row], lost_life[row] = ended, cut, env.lost_life
            if ended or cut:
                final_obs[row], noted[row] = obs, env.noted
                final_info = info
                obs, info = env.reset()
                info = {**info, "final_info": final_info}
            next_obs[row] = obs
            if env.mask is not None or self._is_masked[row]:
                self._write_mask(row, env)
            line[BEATS] += 1
            infos.append(info)
        if is_watched:
            self._end_watch()
        return infos

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Each environment's method called, or its attribute read.

        Raises:
            AttributeError: An environment has nothing of that name.
        """
        results = []
        for env in self.envs:
            attribute = env.env.get_wrapper_attr(name)
            results.append(attribute(*args, **kwargs) if callable(attribute) else attribute)
        return results

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Sets an attribute of each environment to its own value."""
        for env, value in zip(self.envs, values, strict=True):
            env.env.set_wrapper_attr(name, value)

    def close(self) -> None:
        """Closes every environment; one that raises is warned of."""
        for env in self.envs:
            close(env.env)

    def _write_mask(self, row: int, env: SeededEnv) -> None:
        self._is_masked[row] = env.mask is not None
        self._block.mask[row] = 1 if env.mask is None else env.mask

    def _end_watch(self) -> None:
        self._watch.end()
        self._line[FOREIGN] = self._watch.found

    def _beat(self) -> None:
        self._line[BEATS] += 1
