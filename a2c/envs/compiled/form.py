"""CompiledEnv: an environment written as three functions on arrays, which Numba compiles."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import gymnasium
import numpy as np

from a2c.envs.compiled.functions import Functions, Observe, Reset, Step
from a2c.errors import UserError


class CompiledEnv:
    """An environment as three functions that Numba compiles, so that training never returns to Python.

    Calling it makes an ordinary `gymnasium.Env`, so it works wherever a callable that constructs an environment does:
    `a2c.train(env)`, `a2c.make_envs(env, 64)`, `gymnasium.register(id, entry_point=env)`.

    Attributes:
        name: Its name.
        observation_space: A float32 Box.
        action_space: Discrete, or a float32 Box of one dimension.
        max_episode_steps: Steps after which an episode is truncated; None: never.
        state_size: Length of the state.
        reset_randoms: How many random numbers a reset gets.
        step_randoms: How many random numbers a step gets.

    Example:
        >>> def reset(state, random):
        ...     state[0] = random[0] - 0.5
        >>> def step(state, action, random):
        ...     state[0] += 0.1 if action == 1 else -0.1
        ...     return -abs(state[0]), False
        >>> def observe(state, obs):
        ...     obs[0] = state[0]
        >>> line = CompiledEnv(
        ...     "Line", reset, step, observe, state_size=1, max_episode_steps=20,
        ...     observation_space=gymnasium.spaces.Box(-10, 10, (1,)), action_space=gymnasium.spaces.Discrete(2),
        ... )
        >>> env = line()
        >>> obs, info = env.reset(seed=0)
        >>> obs.shape
        (1,)
    """

    def __init__(
        self,
        name: str,
        reset: Reset,
        step: Step,
        observe: Observe,
        *,
        state_size: int,
        observation_space: gymnasium.spaces.Box,
        action_space: gymnasium.spaces.Discrete | gymnasium.spaces.Box,
        max_episode_steps: int | None,
        reset_randoms: int | None = None,
        step_randoms: int = 0,
    ) -> None:
        """Declares an environment; it is compiled when it is first stepped.

        Args:
            name: Its name.
            reset: `reset(state, random)` writes the state an episode starts in; state is float64 [state_size], random
                float64 [reset_randoms], uniform in [0, 1).
            step: `step(state, action, random) -> (reward, terminated)` writes the next state. The action is an int for
                a Discrete, a float32 array of the space's shape for a Box; random is float64 [step_randoms], uniform in
                [0, 1).
            observe: `observe(state, obs)` writes the observation, float32 of the space's shape.
            state_size: Length of the state.
            observation_space: A float32 Box.
            action_space: Discrete, or a float32 Box of one dimension.
            max_episode_steps: Steps after which an episode is truncated; None: never.
            reset_randoms: How many random numbers a reset needs; by default `state_size`.
            step_randoms: How many random numbers a step needs.

        Raises:
            UserError: A function takes other arguments, a space is of another kind, or a number is out of range.
        """
        for role, function, parameters in (("reset", reset, 2), ("step", step, 3), ("observe", observe, 2)):
            if not inspect.isfunction(function) or len(inspect.signature(function).parameters) != parameters:
                right = {"reset": "reset(state, random)", "step": "step(state, action, random)"}
                raise UserError(
                    f"{role} of {name} is {function!r}; it must be a function {right.get(role, 'observe(state, obs)')}"
                )
        if not isinstance(observation_space, gymnasium.spaces.Box) or observation_space.dtype != np.float32:
            raise UserError(f"observation_space of {name} is {observation_space}; it must be a float32 Box")
        if not observation_space.shape or 0 in observation_space.shape:
            raise UserError(
                f"observation_space of {name} is {observation_space}; it must have at least one dimension and no size 0"
            )
        is_box = isinstance(action_space, gymnasium.spaces.Box)
        if is_box and (
            action_space.dtype != np.float32 or len(action_space.shape or ()) != 1 or 0 in (action_space.shape or ())
        ):
            raise UserError(f"action_space of {name} is {action_space}; a Box must be float32 with one dimension")
        if not is_box and not isinstance(action_space, gymnasium.spaces.Discrete):
            raise UserError(f"action_space of {name} is {action_space}; it must be a Discrete or a float32 Box")
        reset_randoms = state_size if reset_randoms is None else reset_randoms
        numbers = {"state_size": state_size, "reset_randoms": reset_randoms, "step_randoms": step_randoms}
        limit = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
        for label, number in (numbers | limit).items():
            least = 0 if label.endswith("randoms") else 1
            if not isinstance(number, int) or number < least:
                raise UserError(f"{label} of {name} is {number!r}; it must be a whole number of at least {least}")
        self.name = self.__qualname__ = name
        self.observation_space, self.action_space = observation_space, action_space
        self.max_episode_steps = max_episode_steps
        self.state_size, self.reset_randoms, self.step_randoms = state_size, reset_randoms, step_randoms
        self._reset, self._step, self._observe = reset, step, observe

    def __call__(self) -> gymnasium.Env[Any, Any]:
        """Makes an ordinary `gymnasium.Env`, which runs the same machine code one step at a time.

        Raises:
            UserError: Numba cannot compile one of its functions.
        """
        from a2c.envs.compiled.single import SingleEnv  # Here: importing Numba takes a while.

        return SingleEnv(self)

    @functools.cached_property
    def functions(self) -> Functions:
        """The compiled functions.

        Raises:
            UserError: Numba cannot compile one of them.
        """
        from a2c.envs.compiled.stepping import compile_functions

        return compile_functions(self, self._reset, self._step, self._observe)

    def __reduce__(self) -> Any:
        """Pickles the declaration, for worker processes, which load the machine code again."""
        make = functools.partial(
            CompiledEnv,
            state_size=self.state_size,
            observation_space=self.observation_space,
            action_space=self.action_space,
            max_episode_steps=self.max_episode_steps,
            reset_randoms=self.reset_randoms,
            step_randoms=self.step_randoms,
        )
        return make, (self.name, self._reset, self._step, self._observe)
