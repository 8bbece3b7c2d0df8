"""A share of the environments, stepped one after another by one process: the parent or a worker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import gymnasium
from numpy.typing import NDArray

from a2c.envs.episode import ReplayError, SeededEnv, close, same_bits
from a2c.envs.history import Recording
from a2c.envs.memory import BEATS, FOREIGN, ROW, Block
from a2c.envs.seeding import Watch
from a2c.envs.values import Feedback
from a2c.errors import EnvError

Info = dict[str, Any]


class Share:
    """Environments that are stepped one after another, each with a row of a Block."""

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
            indices: The numbers of these environments in the run.
            block: Their rows.
            line: Flags that show a waiting process which environment is at work, and that it makes progress.
            first: The first of them, if it was constructed already.
            feedback: How rewards, lives and infos are read.

        Raises:
            EnvError: An environment could not be constructed; those before it are closed.
        """
        self._block, self._line = block, line
        block.mask[...] = 1
        self._is_masked = [False] * len(indices)  # whether a row's mask may hold a 0
        self._may_mask, self._notes_lives = block.mask.shape[1] > 0, feedback.notes_lives
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
            self.close()  # They may hold a port or a licence that the next attempt needs.
            raise
        self._end_watch()

    def begin_anew(self, seed: int) -> None:
        """Makes the next episodes the first ones of another seed."""
        for env in self.envs:
            env.begin_anew(seed)

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: dict[str, Any] | None) -> list[Info]:
        """Begins the next episode of the masked environments and writes `obs`; returns the infos of all.

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

    def restore(self, recordings: Sequence[Recording], obs: NDArray[Any]) -> list[str | None]:
        """Replays every environment's episode so far and writes `obs`; one that differs begins its next episode.

        Args:
            recordings: One for each environment.
            obs: [n, ...] the observations that the replays must reproduce.

        Returns:
            For each environment why the replay differs; None if it reproduces the observation bit by bit.

        Raises:
            EnvError: A reset raised.
        """
        faults: list[str | None] = []
        is_checked = False  # Checking one environment is enough, as all are of one kind.
        for row, (env, recording) in enumerate(zip(self.envs, recordings, strict=True)):
            self._line[ROW] = row
            fault = None
            if recording.dropped:
                fault = (
                    f"of its episode's {recording.length} steps, only the last {len(recording.actions)} were recorded"
                )
            elif recording.episode >= 0:
                try:
                    if not is_checked and len(recording.actions):
                        is_checked = True
                        env.check_memory(recording, self._beat)
                    self._block.obs[row] = env.replay(recording, self._beat)
                    if not same_bits(self._block.obs[row], obs[row]):
                        fault = f"its observation differs after the same {env.steps} steps"
                except (ReplayError, EnvError) as error:
                    fault = str(error).strip().splitlines()[-1]
            else:  # Never reset, but `begin_anew` may have changed its seed.
                env.seed, env.first = recording.root, recording.first
            if fault is not None:
                env.set_counters_before(recording)
                env.episode += 1
                self._block.obs[row], _ = env.reset()
            self._write_mask(row, env)
            self._beat()
            faults.append(fault)
        return faults

    def step(self, skip: Collection[int] = ()) -> list[Info]:
        """Steps every environment, and begins the next episode of those whose episode ended.

        Reads `action` and writes the rest of the block. What environments return is copied, so they may reuse their
        arrays.

        Args:
            skip: Rows to leave as they are.

        Returns:
            The infos; if an episode ended, that of the reset, with the last step's info under "final_info".

        Raises:
            EnvError: A step or reset raised.
        """
        infos: list[Info] = []
        _, next_obs, final_obs, reward, terminated, truncated, lost_life, _, noted = self._block
        # A copy: an environment may hold on to its action, to penalise changes, say.
        actions = self._block.action.copy()
        line, beats, notes_lives, may_mask = self._line, self._line[BEATS], self._notes_lives, self._may_mask
        is_watched = self._watch.is_due()
        if is_watched:
            self._watch.begin()
        for row, (env, action) in enumerate(zip(self.envs, actions, strict=True)):
            line[ROW] = row
            if row in skip:
                infos.append({})
                continue
            obs, reward[row], ended, cut, info = env.step(action)
            terminated[row], truncated[row] = ended, cut
            if notes_lives:
                lost_life[row] = env.lost_life
            if ended or cut:
                final_obs[row], noted[row] = obs, env.noted
                final_info = info
                obs, info = env.reset()
                info = {**info, "final_info": final_info}
            next_obs[row] = obs
            if may_mask and (env.mask is not None or self._is_masked[row]):
                self._write_mask(row, env)
            beats += 1
            line[BEATS] = beats
            infos.append(info)
        if is_watched:
            self._end_watch()
        return infos

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Each environment's method called, or its attribute read.

        Raises:
            AttributeError: An environment has no attribute of that name.
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
        """Closes every environment; an exception becomes a warning."""
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
