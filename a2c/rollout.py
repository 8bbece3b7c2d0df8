"""Rollout: the arrays of one update, allocated once. `a2c.kernels.rollout` and the engines read and fill them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.model.architecture import Architecture

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


class Rollout(NamedTuple):
    """T steps of N environments. Row t < T is a transition; row T is the state in which the next rollout begins."""

    observed: NDArray[np.float64]  # [T+1, N, R] real numbers of s_t, as the environment gave them
    inputs: Floats  # [T+1, N, D] s_t as the networks see it: normalised if the run normalises
    pixels: NDArray[np.uint8]  # [T+1, N, P] the images of s_t, as the environment gave them
    carry: Floats  # [T+1, N, H] the policy's memory before it sees s_t; 0 at the start of an episode; H = 0: no memory
    mask: NDArray[np.uint8]  # [T+1, N, K] 1 for what is allowed in s_t; K = 0: the environment masks nothing
    final_observed: NDArray[np.float64]  # [N, R] the last state of an episode that this step truncated
    final_inputs: Floats  # [N, D]
    final_pixels: NDArray[np.uint8]  # [N, P]
    noise: Floats  # [T, N, C] random numbers that actions are sampled with
    outputs: Floats  # [T, N, O] outputs of the actor: logits, means
    action: Floats  # [T, N, C] as the policy sampled it: `a2c.model.factors` converts it for the environment
    reward: NDArray[np.float64]  # [T, N] as the environment gave it
    scaled_reward: NDArray[np.float64]  # [T, N] scaled or clipped, to learn from; the same array as `reward` if neither
    terminated: Flags  # [T, N]
    ended: Flags  # [T, N] what counts as a termination; the same array as `terminated`, unless a lost life counts too
    truncated: Flags  # [T, N]
    bad: Flags  # [T, N] an observation or reward was not finite
    value: Floats  # [T+1, N] V(s_t)
    next_value: Floats  # [T, N] V(s'_t), s'_t the true successor; 0 where terminated
    advantage: Floats  # [T, N] A_t
    returns: Floats  # [T, N] G_t


def rollout_for(
    architecture: Architecture,
    rollout_length: int,
    num_envs: int,
    num_masks: int,
    scales_rewards: bool = False,
    notes_lives: bool = False,
) -> Rollout:
    """Allocates a rollout.

    Args:
        architecture: The networks that see it.
        rollout_length: T.
        num_envs: N.
        num_masks: K.
        scales_rewards: Whether rewards are scaled or clipped before they are learnt from.
        notes_lives: Whether a lost life counts as a termination.
    """
    shape, longer = (rollout_length, num_envs), (rollout_length + 1, num_envs)
    columns, num_real, num_inputs = architecture.num_columns, architecture.num_real, architecture.num_inputs
    reward, terminated = np.zeros(shape), np.zeros(shape, np.bool_)
    return Rollout(
        observed=np.zeros((*longer, num_real)),
        inputs=np.zeros((*longer, num_inputs), np.float32),
        pixels=np.zeros((*longer, architecture.num_pixels), np.uint8),
        carry=np.zeros((*longer, architecture.memory_size), np.float32),
        mask=np.ones((*longer, num_masks), np.uint8),
        final_observed=np.zeros((num_envs, num_real)),
        final_inputs=np.zeros((num_envs, num_inputs), np.float32),
        final_pixels=np.zeros((num_envs, architecture.num_pixels), np.uint8),
        noise=np.zeros((*shape, columns), np.float32),
        outputs=np.zeros((*shape, architecture.num_outputs), np.float32),
        action=np.zeros((*shape, columns), np.float32),
        reward=reward,
        scaled_reward=np.zeros(shape) if scales_rewards else reward,
        terminated=terminated,
        ended=np.zeros(shape, np.bool_) if notes_lives else terminated,
        truncated=np.zeros(shape, np.bool_),
        bad=np.zeros(shape, np.bool_),
        value=np.zeros(longer, np.float32),
        next_value=np.zeros(shape, np.float32),
        advantage=np.zeros(shape, np.float32),
        returns=np.zeros(shape, np.float32),
    )
