"""Independent random streams from one seed.

Everything random in a run is a pure function of (seed, purpose, counter). So there is no generator state to save, and
any split of the work over processes draws the same numbers.

Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011), for Philox.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Stream = Literal["parameters", "evaluation", "policy"]

_STREAM_KEYS: dict[Stream, int] = {"parameters": 1, "evaluation": 3, "policy": 4}

_MASK64 = (1 << 64) - 1


def generator(seed: int, stream: Stream, index: int = 0) -> np.random.Generator:
    """The generator of one stream at one index, always starting at the same number.

    Args:
        seed: The run's seed, 0 to 2**63 - 1.
        stream: The purpose of the numbers.
        index: Counter within the stream (an update, an evaluation, a tensor), at least 0.

    Returns:
        A generator keyed by (seed, stream) whose Philox counter starts at `index` * 2**192.
    """
    return np.random.Generator(np.random.Philox(key=[seed, _STREAM_KEYS[stream]], counter=[0, 0, 0, index]))


def episode_seed(seed: int, env_index: int, episode: int) -> int:
    """The seed with which episode number `episode` of environment `env_index` is reset.

    Args:
        seed: The run's seed.
        env_index: Which environment, from 0.
        episode: Which of its episodes, from 0.

    Returns:
        An integer in [0, 2**31), which every Gymnasium environment accepts (some take 32-bit seeds only).

    Reference: the finaliser of SplitMix64 (Steele et al., "Fast splittable pseudorandom number generators", 2014).
    """
    state = seed
    for word in (env_index, episode):
        state = (state * 0x9E3779B97F4A7C15 + word + 1) & _MASK64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK64
        state ^= state >> 31
    return state >> 33
