"""Random numbers without state: each is a function of a key and a counter."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_SHIFT = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


@compiled
def philox(
    c0: np.uint32, c1: np.uint32, c2: np.uint32, c3: np.uint32, k0: np.uint32, k1: np.uint32
) -> tuple[np.uint32, np.uint32, np.uint32, np.uint32]:
    """Philox 4x32-10: four 32-bit random words from a counter of four and a key of two.

    Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011), section 4.3.
    """
    for _ in range(10):
        product0, product1 = _M0 * np.uint64(c0), _M1 * np.uint64(c2)
        c0, c1, c2, c3 = (
            np.uint32(product1 >> _SHIFT) ^ c1 ^ k0,
            np.uint32(product1 & _LOW),
            np.uint32(product0 >> _SHIFT) ^ c3 ^ k1,
            np.uint32(product0 & _LOW),
        )
        k0, k1 = np.uint32(k0 + _W0), np.uint32(k1 + _W1)
    return c0, c1, c2, c3


@compiled
def words(seed: int, stream: int, counter: int, block: int) -> tuple[np.uint32, np.uint32, np.uint32, np.uint32]:
    """Four 32-bit random words.

    Args:
        seed: The key, 64 bits.
        stream: The use of the numbers, below 2**15.
        counter: The number of a set of them (for an update or a step, say), below 2**48.
        block: Which four words of that set, below 2**32.
    """
    high = np.uint32((counter >> 32) | (stream << 16))
    return philox(np.uint32(block), np.uint32(counter), high, np.uint32(0), np.uint32(seed), np.uint32(seed >> 32))


@compiled
def uniforms(seed: int, stream: int, counter: int, first: int, out: NDArray[np.float32], o: int, n: int) -> None:
    """Writes numbers first..first+n-1 of a set to out[o:o+n]: uniforms in [0, 1), multiples of 2**-24."""
    scale = np.float32(2.0**-24)
    i = 0
    while i < n:
        number = first + i
        w = words(seed, stream, counter, number >> 2)
        for part in range(number & 3, min(4, (number & 3) + n - i)):
            word = w[0] if part == 0 else w[1] if part == 1 else w[2] if part == 2 else w[3]
            out[o + i] = np.float32(word >> np.uint32(8)) * scale
            i += 1


@compiled
def normals(seed: int, stream: int, counter: int, first: int, out: NDArray[np.float32], o: int, n: int) -> None:
    """Writes numbers first..first+n-1 of a set to out[o:o+n]: standard normals.

    Reference: Box and Muller, "A note on the generation of random normal deviates" (1958).
    """
    i = 0
    while i < n:
        number = first + i
        w = words(seed, stream, counter, number >> 1)
        radius = math.sqrt(-2.0 * math.log((np.float64(w[0]) + 1.0) * 2.0**-32))
        angle = 2.0 * math.pi * 2.0**-32 * np.float64(w[1])
        if number & 1 == 0:
            out[o + i] = np.float32(radius * math.cos(angle))
            i += 1
        if i < n:
            out[o + i] = np.float32(radius * math.sin(angle))
            i += 1


@compiled
def doubles(seed: int, stream: int, counter: int, out: NDArray[np.float64]) -> None:
    """Fills `out` with uniforms in [0, 1), multiples of 2**-53."""
    for i in range(len(out)):
        w = words(seed, stream, counter, i >> 1)
        high, low = (w[0], w[1]) if i & 1 == 0 else (w[2], w[3])
        out[i] = (np.float64(high >> np.uint32(5)) * 67108864.0 + np.float64(low >> np.uint32(6))) * 2.0**-53


@compiled
def episode_seed(seed: int, env_index: int, episode: int) -> np.int64:
    """`a2c.randomness.episode_seed`, for machine code."""
    state = np.uint64(seed)
    for word in (env_index, episode):
        state = state * np.uint64(0x9E3779B97F4A7C15) + np.uint64(word) + np.uint64(1)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return np.int64(state >> np.uint64(33))
