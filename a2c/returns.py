"""Advantages and returns from a rollout: pure functions on arrays of shape [T, N].

| symbol    | array          | meaning                                                     |
|-----------|----------------|-------------------------------------------------------------|
| r_t       | reward[t]      | reward of the step from s_t                                 |
| V(s_t)    | value[t]       | the critic at the state acted on                            |
| V(s'_t)   | next_value[t]  | the critic at the true successor, never at a reset state    |
|           | terminated[t]  | the task ended at t: nothing follows, V(s'_t) counts as 0   |
|           | truncated[t]   | a limit ended the episode at t: V(s'_t) stands for the rest |
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.kernels import statistics as kernels

Float = NDArray[np.floating[Any]]
Bool = NDArray[np.bool_]


def gae(
    reward: Float,
    value: Float,
    next_value: Float,
    terminated: Bool,
    truncated: Bool,
    gamma: float,
    gae_lambda: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Generalised advantage estimation, for t = T-1 down to 0:

        delta_t = r_t + gamma * (1 - terminated_t) * V(s'_t) - V(s_t)
        A_t     = delta_t + gamma * lambda * (1 - done_t) * A_{t+1},  done = terminated or truncated,  A_T = 0
        G_t     = A_t + V(s_t)

    lambda = 1 gives the n-step return of A3C, lambda = 0 the one-step TD error.

    Args:
        reward: [T, N].
        value: [T, N].
        next_value: [T, N]; ignored where `terminated` is True.
        terminated: [T, N].
        truncated: [T, N].
        gamma: Discount, in [0, 1].
        gae_lambda: Lambda, in [0, 1].

    Returns:
        Advantage A and returns G, both [T, N]. Sums are computed in float64.

    Raises:
        ValueError: The five arrays differ in shape.

    Reference: Schulman et al., "High-dimensional continuous control using generalized advantage estimation"
        (2016), eq. 16; time limits as in Pardo et al., "Time limits in reinforcement learning" (2018).

    Example:
        >>> one = np.ones((2, 1))
        >>> no = np.zeros((2, 1), bool)
        >>> advantage, returns = gae(one, 0 * one, 10 * one, no, no, gamma=0.5, gae_lambda=1.0)
        >>> returns.ravel().tolist()  # 1 + 0.5 * (1 + 0.5 * 10), 1 + 0.5 * 10
        [9.0, 6.0]
    """
    shapes = {reward.shape, value.shape, next_value.shape, terminated.shape, truncated.shape}
    if len(shapes) > 1:
        raise ValueError(f"reward, value, next_value, terminated and truncated differ in shape: {sorted(shapes)}")
    advantage, returns = np.empty(reward.shape, np.float32), np.empty(reward.shape, np.float32)
    kernels.gae(
        np.ascontiguousarray(reward, np.float64),
        np.ascontiguousarray(value, np.float32),
        np.ascontiguousarray(next_value, np.float32),
        terminated,
        truncated,
        gamma,
        gae_lambda,
        advantage,
        returns,
        0,
        reward.shape[1],
    )
    return advantage, returns


def observed(
    reward: Float, value: Float, terminated: Bool, truncated: Bool, gamma: float, has_baseline: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns as REINFORCE learns from them, without bootstrapping, for t = T-1 down to 0:

        G_t = r_t + gamma * (1 - done_t) * G_{t+1},  done = terminated or truncated
        A_t = G_t - V(s_t) with a baseline, A_t = G_t without

    A time limit counts as an end. Steps whose episode goes on after the rollout have no return yet: they get A_t = 0
    and G_t = V(s_t), so that they weigh 0 in the losses of actor and critic. They are the last steps of each
    environment's column, and long episodes have more of them: short rollouts are biased towards short episodes, and
    the bias goes to 0 as T grows. As is usual, steps are not weighted by gamma^t.

    Args:
        reward: [T, N].
        value: [T, N].
        terminated: [T, N].
        truncated: [T, N].
        gamma: Discount, in [0, 1].
        has_baseline: Whether V is subtracted.

    Returns:
        Advantage A and returns G, both [T, N]. Sums are computed in float64.

    Raises:
        ValueError: The four arrays differ in shape.

    Reference: Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning"
        (1992); Sutton and Barto, "Reinforcement learning: an introduction" (2018), sections 13.3 and 13.4.

    Example:
        >>> one = np.ones((3, 1))
        >>> no, second = np.zeros((3, 1), bool), np.array([[False], [True], [False]])
        >>> advantage, returns = observed(one, 0.5 * one, second, no, gamma=0.5, has_baseline=True)
        >>> returns.ravel().tolist(), advantage.ravel().tolist()  # 1 + 0.5 * 1, 1; the third has no return yet
        ([1.5, 1.0, 0.5], [1.0, 0.5, 0.0])
    """
    shapes = {reward.shape, value.shape, terminated.shape, truncated.shape}
    if len(shapes) > 1:
        raise ValueError(f"reward, value, terminated and truncated differ in shape: {sorted(shapes)}")
    advantage, returns = np.empty(reward.shape, np.float32), np.empty(reward.shape, np.float32)
    kernels.observed(
        np.ascontiguousarray(reward, np.float64),
        np.ascontiguousarray(value, np.float32),
        terminated,
        truncated,
        gamma,
        has_baseline,
        advantage,
        returns,
        0,
        reward.shape[1],
    )
    return advantage, returns


def standardize(advantage: NDArray[np.float32]) -> NDArray[np.float32]:
    """The advantages of one rollout, shifted to mean 0 and scaled to standard deviation 1.

    Args:
        advantage: [T, N].

    Returns:
        [T, N].
    """
    scaled = advantage.copy()
    kernels.standardize(scaled.reshape(-1), True)
    return scaled


def explained_variance(value: Float, returns: Float) -> float:
    """1 - Var(G - V) / Var(G): 1 for a perfect critic, 0 for a constant one, negative for a worse one.

    Args:
        value: [T, N].
        returns: [T, N].

    Returns:
        The fraction, or 0 if the returns do not vary (there is nothing to explain).
    """
    variance = float(np.var(returns))
    return 0.0 if variance == 0.0 else 1.0 - float(np.var(returns - value)) / variance
