"""A share of the environments, stepped one after another in whatever process holds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium

from a2c.envs.episode import SeededEnv, close
from a2c.envs.memory import Block
from a2c.errors import EnvError

Info = dict[str, Any]


class Share:
    """Environments stepped one after another, each in its row of a Block."""

    def __init__(
        self, make: Callable[[], gymnasium.Env[Any, Any]], seed: int, indices: Sequence[int], block: Block
    ) -> None:
        """Constructs the environments.

        Args:
            make: Constructs one environment.
            seed: The run's seed.
            indices: Which of the run's environments these are.
            block: Their rows.

        Raises:
            EnvError: One of them could not be constructed.
        """
        self.envs = [SeededEnv(make, seed, index) for index in indices]
        self._block = block

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: dict[str, Any] | None) -> list[Info]:
        """Begins the next episode of the masked environments, writes `obs`, and returns everybody's infos.

        Raises:
            EnvError: A reset raised.
        """
        infos: list[Info] = [{} for _ in self.envs]
        for row, env in enumerate(self.envs):
            if mask[row]:
                self._block.obs[row], infos[row] = env.reset(seeds[row], options)
        return infos

    def step(self) -> list[Info]:
        """Steps every environment and begins the next episode where one ended.

        Reads `action` and writes the rest of the block. Copies what the environment returns, so an environment may
        reuse its arrays.

        Returns:
            The infos; where an episode ended, those of the reset, with the last step's under "final_info".

        Raises:
            EnvError: A step or reset raised.
        """
        infos = []
        _, next_obs, final_obs, reward, terminated, truncated = self._block
        # An environment may keep its action (to penalise changes, say): give it one that nobody writes again.
        actions = self._block.action.copy()
        for row, (env, action) in enumerate(zip(self.envs, actions, strict=True)):
            try:
                env.steps += 1
                obs, reward[row], ended, cut, info = env.env.step(action)
                if env.steps == 1:
                    env.check_shape(obs)
                terminated[row], truncated[row] = ended, cut
                if ended or cut:
                    final_obs[row] = obs
                    final_info = info
                    obs, info = env.reset()
                    info = {**info, "final_info": final_info}
                next_obs[row] = obs
            except EnvError:
                raise
            except (Exception, SystemExit) as error:
                raise env.error("step") from error
            infos.append(info)
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
