"""N compiled environments as arrays, and the machine code that steps them."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.compiled.functions import Declared, Functions, Observe, Reset, Step
from a2c.errors import EnvError, UserError
from a2c.kernels.compiler import allocating, instance, is_of_numba
from a2c.kernels.layout import Routine
from a2c.kernels.machine_code import program, source
from a2c.kernels.random import doubles, episode_seed

_STREAM = 5
"""The stream of random numbers that resets and steps draw from."""


class EnvArrays(NamedTuple):
    """N environments; each depends on its own row alone, so any split over threads gives the same numbers."""

    state: NDArray[np.float64]  # [N, state_size]
    episode: NDArray[np.int64]  # [N] number of the episode under way, from 0
    key: NDArray[np.int64]  # [N] seed of that episode
    steps: NDArray[np.int64]  # [N] steps taken in it
    random: NDArray[np.float64]  # [N, randoms] room for random numbers
    choice: NDArray[np.int64]  # [N] discrete actions, as the environment numbers them
    action: NDArray[np.float32]  # [N, A] continuous actions
    obs: NDArray[np.float32]  # [N, ...] what to act on next
    final_obs: NDArray[np.float32]  # [N, ...] the last observation of an episode, if one ended in this step
    reward: NDArray[np.float64]  # [N]
    terminated: NDArray[np.bool_]  # [N]
    truncated: NDArray[np.bool_]  # [N]
    failed: NDArray[np.bool_]  # [N] whether a function raised; if so, the environment is no longer stepped


class MachineCode(NamedTuple):
    """What machine code needs to step environments without Python."""

    arrays: EnvArrays
    env: Declared

    @property
    def advance(self) -> Routine:
        """As in `a2c.envs.compiled.functions.Functions`; it is compiled now, unless that is done.

        Raises:
            UserError: Numba cannot compile a function of the environment.
        """
        return self.env.functions.advance.routine


def arrays_for(env: Declared, num_envs: int) -> EnvArrays:
    """Allocates N environments, none of them reset."""
    randoms = max(env.reset_randoms, env.step_randoms)
    is_box = isinstance(env.action_space, gymnasium.spaces.Box)
    (actions,) = env.action_space.shape if is_box and env.action_space.shape else (0,)
    obs_shape = (num_envs, *env.observation_space.shape)
    return EnvArrays(
        np.zeros((num_envs, env.state_size)),
        np.full(num_envs, -1, np.int64),
        np.zeros(num_envs, np.int64),
        np.zeros(num_envs, np.int64),
        np.zeros((num_envs, randoms)),
        np.zeros(num_envs, np.int64),
        np.zeros((num_envs, actions), np.float32),
        np.zeros(obs_shape, np.float32),
        np.zeros(obs_shape, np.float32),
        np.zeros(num_envs),
        np.zeros(num_envs, np.bool_),
        np.zeros(num_envs, np.bool_),
        np.zeros(num_envs, np.bool_),
    )


def env_error(envs: EnvArrays) -> EnvError | None:
    """The error to raise if a function of an environment raised; None if none did."""
    if not envs.failed.any():
        return None
    n = int(np.flatnonzero(envs.failed)[0])
    return EnvError(
        n,
        "step",
        int(envs.episode[n]),
        int(envs.key[n]),
        int(envs.steps[n]),
        "one of its functions raised an exception, which machine code cannot show; set vectorization 'local' to see it",
    )


def compile_functions(env: Declared, reset: Reset, step: Step, observe: Observe) -> Functions:
    """Compiles an environment, or loads it from disk.

    Raises:
        UserError: Numba cannot compile one of its functions.
    """
    arrays = arrays_for(env, 1)
    is_discrete = isinstance(env.action_space, gymnasium.spaces.Discrete)
    names = {
        "RESET": allocating(reset),
        "STEP": allocating(step),
        "OBSERVE": allocating(observe),
        "RESET_RANDOMS": env.reset_randoms,
        "STEP_RANDOMS": env.step_randoms,
        "LIMIT": 2**62 if env.max_episode_steps is None else env.max_episode_steps,
        "_STREAM": _STREAM,
        "doubles": doubles,
        "episode_seed": episode_seed,
        "range": range,
        "len": len,
        "np": np,
    }
    act = instance(_act_discretely if is_discrete else _act_continuously, names, forceinline=True)
    begin_one = instance(_begin, names, forceinline=True)
    step_one = instance(_step, names | {"ACT": act}, forceinline=True)
    advance = instance(_advance, names | {"BEGIN": begin_one, "STEP_ONE": step_one})
    sources = {
        "begin": source(begin_one, arrays, 0, 0),
        "step": source(step_one, arrays, 0),
        "advance": source(advance, arrays, 0, 0, 0),
    }
    try:
        return Functions(**program(**sources))
    except Exception as error:
        if not is_of_numba(error):
            raise
        lines = [line.strip() for line in str(error).splitlines() if not line.startswith(("Failed in", "During: Pass"))]
        raise UserError(f"{env.name} cannot be compiled: {' '.join(line for line in lines if line)}") from error


# The functions below are compiled once per environment, with its own functions and numbers in the place of these names.
RESET: Any = None
STEP: Any = None
OBSERVE: Any = None
ACT: Any = None
STEP_ONE: Any = None
BEGIN: Any = None
RESET_RANDOMS = STEP_RANDOMS = LIMIT = 0


def _begin(envs: EnvArrays, n: int, key: int) -> None:
    envs.key[n] = key
    envs.steps[n] = 0
    random = envs.random[n, :RESET_RANDOMS]
    doubles(key, _STREAM, envs.steps[n], random)
    RESET(envs.state[n], random)
    OBSERVE(envs.state[n], envs.obs[n])


def _act_discretely(envs: EnvArrays, n: int, random: NDArray[np.float64]) -> tuple[float, bool]:
    reward, terminated = STEP(envs.state[n], envs.choice[n], random)
    return reward, terminated


def _act_continuously(envs: EnvArrays, n: int, random: NDArray[np.float64]) -> tuple[float, bool]:
    reward, terminated = STEP(envs.state[n], envs.action[n], random)
    return reward, terminated


def _step(envs: EnvArrays, n: int) -> None:
    envs.steps[n] += 1
    random = envs.random[n, :STEP_RANDOMS]
    doubles(envs.key[n], _STREAM, envs.steps[n], random)
    reward, terminated = ACT(envs, n, random)
    envs.reward[n] = reward
    envs.terminated[n] = terminated
    envs.truncated[n] = envs.steps[n] >= LIMIT
    OBSERVE(envs.state[n], envs.obs[n])


def _advance(envs: EnvArrays, first: int, count: int, seed: int) -> None:
    for n in range(first, first + count):
        if envs.failed[n]:
            continue
        try:
            STEP_ONE(envs, n)
            if envs.terminated[n] or envs.truncated[n]:
                last, final = envs.obs[n].reshape(-1), envs.final_obs[n].reshape(-1)
                for i in range(len(last)):
                    final[i] = last[i]
                envs.episode[n] += 1
                BEGIN(envs, n, episode_seed(seed, n, envs.episode[n]))
        except Exception:  # noqa: BLE001 - Numba knows no other; uncaught, it would only be printed
            envs.failed[n] = True
