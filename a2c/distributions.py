"""Action distributions: noise in, action out; log-probability and entropy for NumPy and Paddle alike.

An actor's output is a tuple `params`: `(logits,)` for Categorical, `(mean, log_std)` for DiagGaussian. Actions are a
pure function of (params, noise). `xp` is the array module, `numpy` or `paddle`: both spell the operations used here
the same, so there is one formula to read and to test.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

Array = Any
"""A NumPy array or a Paddle tensor."""

_HALF_LOG_2PI = 0.5 * float(np.log(2 * np.pi))


class Categorical(NamedTuple):
    """One of n actions, numbered from 0, with probabilities softmax(logits)."""

    n: int
    start: int
    """The environment's own number of action 0."""

    @property
    def head_size(self) -> int:
        """Outputs the actor needs: one logit per action."""
        return self.n

    @property
    def log_std_size(self) -> int:
        """Length of the free parameter `log_std`: there is none."""
        return 0

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Uniforms in [0, 1), of `shape`."""
        return rng.random(shape, dtype=np.float32)

    def sample(self, params: tuple[NDArray[np.float32], ...], noise: NDArray[np.float32]) -> NDArray[np.int64]:
        """The inverse of the cumulative distribution at a uniform: logits [..., n], noise [...] -> action [...]."""
        (logits,) = params
        cumulative = np.exp(logits - logits.max(-1, keepdims=True)).cumsum(-1)
        threshold = noise * cumulative[..., -1]
        # The last boundary is left out, so that rounding can never yield action n.
        action: NDArray[np.int64] = (cumulative[..., :-1] <= threshold[..., None]).sum(-1)
        return action

    def mode(self, params: tuple[NDArray[np.float32], ...]) -> NDArray[np.int64]:
        """The most probable action: logits [..., n] -> action [...]."""
        action: NDArray[np.int64] = params[0].argmax(-1)
        return action

    def log_prob_and_entropy(self, xp: ModuleType, params: tuple[Array, ...], action: Array) -> tuple[Array, Array]:
        """log pi(a) and -sum p log p (in nats), from one log-softmax: logits [..., n], action [...] -> [...], [...]."""
        log_p = _log_softmax(xp, params[0])
        chosen = xp.take_along_axis(log_p, action[..., None], -1)
        return chosen[..., 0], -xp.sum(xp.exp(log_p) * log_p, -1)

    def to_env(self, action: NDArray[Any]) -> NDArray[np.int64]:
        """The action as the environment numbers it."""
        return action + self.start if self.start else action


class DiagGaussian(NamedTuple):
    """Independent normals whose standard deviations do not depend on the state.

    The policy acts in units in which a bounded dimension of the Box spans [-1, 1], so one initial `log_std` fits every
    environment; `to_env` scales to the Box and clips. Probabilities are of the unclipped action.
    """

    shape: tuple[int, ...]
    low: NDArray[Any]  # [A] as the Box has it, in its type
    high: NDArray[Any]  # [A]
    center: NDArray[Any]  # [A] where action 0 is: between the bounds, at the only one, or 0
    half_range: NDArray[Any]  # [A] what action 1 adds; 1 where not bounded on both sides

    @property
    def head_size(self) -> int:
        """Outputs the actor needs: one mean per dimension, A."""
        return len(self.low)

    @property
    def log_std_size(self) -> int:
        """Length of the free parameter `log_std`: A."""
        return len(self.low)

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Standard normals, of `shape` + (A,)."""
        return rng.standard_normal((*shape, len(self.low)), dtype=np.float32)

    def sample(self, params: tuple[NDArray[np.float32], ...], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        """mean + std * noise: mean [..., A], log_std [A], noise [..., A] -> action [..., A]."""
        mean, log_std = params
        action: NDArray[np.float32] = np.add(mean, np.exp(log_std) * noise)
        return action

    def mode(self, params: tuple[NDArray[np.float32], ...]) -> NDArray[np.float32]:
        """The mean: [..., A]."""
        return params[0]

    def log_prob_and_entropy(self, xp: ModuleType, params: tuple[Array, ...], action: Array) -> tuple[Array, Array]:
        """Both summed over dimensions, the entropy in nats: mean [..., A], log_std [A], action [..., A] -> [...], [].

        log pi(a) = -sum((a - mean)^2 / (2 std^2) + log std + log(2 pi) / 2)
        entropy   =  sum(log std + log(2 pi e) / 2), the same at every state.
        """
        mean, log_std = params
        z = (action - mean) * xp.exp(-log_std)
        log_prob = -xp.sum(0.5 * z * z + log_std + _HALF_LOG_2PI, -1)
        return log_prob, xp.sum(log_std + (_HALF_LOG_2PI + 0.5))

    def to_env(self, action: NDArray[Any]) -> NDArray[Any]:
        """The action as the environment takes it: [..., A] -> [..., *shape], inside the Box, in its type."""
        # In place, and without np.clip, which takes as long as all of this: it is done at every step.
        scaled: NDArray[Any] = np.multiply(action, self.half_range)
        scaled += self.center
        np.maximum(scaled, self.low, out=scaled)
        np.minimum(scaled, self.high, out=scaled)
        if scaled.dtype != self.low.dtype:  # smaller than float32
            scaled = scaled.astype(self.low.dtype)
        return scaled if len(self.shape) == 1 else scaled.reshape(*action.shape[:-1], *self.shape)


Distribution = Categorical | DiagGaussian


def distribution_for(action_space: gymnasium.Space[Any]) -> Distribution:
    """The distribution over the actions of a Discrete or a real-valued Box space.

    Raises:
        TypeError: Another kind of space (`make_envs` has refused it, with a sentence, before).
    """
    match action_space:
        case gymnasium.spaces.Discrete():
            return Categorical(int(action_space.n), int(action_space.start))
        case gymnasium.spaces.Box():
            low, high = action_space.low.ravel(), action_space.high.ravel()
            has_low, has_high = np.isfinite(low), np.isfinite(high)
            # Between its bounds, at the only one it has, or at 0.
            bottom = np.where(has_low, low, np.where(has_high, high, 0))
            top = np.where(has_high, high, np.where(has_low, low, 0))
            center = (bottom / 2 + top / 2).astype(low.dtype)
            half_range = np.where(has_low & has_high, top - center, 1).astype(low.dtype)
            return DiagGaussian(action_space.shape, low, high, center, half_range)
        case _:
            raise TypeError(f"no distribution for {action_space}")


def _log_softmax(xp: ModuleType, logits: Array) -> Array:
    """log softmax over the last axis, shifted by the maximum so that exp cannot overflow."""
    shifted = logits - xp.amax(logits, -1)[..., None]
    return shifted - xp.log(xp.sum(xp.exp(shifted), -1))[..., None]
