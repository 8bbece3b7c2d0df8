"""Untrained policies of every kind of space, on which exports are checked."""

import numpy as np
from engine_cases import random_masks
from gymnasium import spaces

from a2c.model.architecture import architecture_for
from a2c.model.blocks import initial_parameters
from a2c.model.factors import Actions
from a2c.moments import Moments
from a2c.policy import Policy

INF = np.inf
NUMBERS = spaces.Box(-1, 1, (5,))
MIXED = spaces.Dict(
    a=spaces.Discrete(5, start=-2),
    b=spaces.Box(-INF, INF, (2, 3)),
    c=spaces.MultiBinary(3),
    d=spaces.Tuple([spaces.MultiDiscrete([2, 4, 3], start=[1, 0, -1]), spaces.Box(0, 255, (3,), np.uint8)]),
)
CAMERA = spaces.Box(0, 255, (40, 37, 3), np.uint8)
ACTIONS = spaces.Dict(
    {
        "push": spaces.Box(np.array([-2.0, -INF, 0.0], np.float32), np.array([3.0, INF, INF], np.float32)),
        "gear": spaces.Discrete(4, start=-1),
        "keys": spaces.MultiBinary((2, 2)),
        "more": spaces.Tuple([spaces.MultiDiscrete([[2, 3], [4, 2]]), spaces.Box(-5, 9, (2,), np.int8)]),
    }
)

CASES = {
    "numbers, choice": (NUMBERS, spaces.Discrete(3), {}),
    "relu, three layers": (NUMBERS, spaces.Discrete(7, start=5), {"hidden_sizes": (24, 16, 9), "activation": "relu"}),
    "not normalised, bytes": (spaces.Box(0, 255, (7, 7, 3), np.uint8), spaces.Discrete(4), {"normalizes": False}),
    "double": (spaces.Box(-1e9, 1e9, (4,), np.float64), spaces.Box(-1e3, 1e5, (2,), np.float64), {}),
    "half": (spaces.Box(-1, 1, (2, 2), np.float16), spaces.Box(-1, 3, (3,), np.float16), {}),
    "whole": (spaces.Box(-(2**40), 2**40, (3,), np.int64), spaces.Box(-(2**62), 2**62, (2,), np.int64), {}),
    "unsigned": (spaces.Box(0, 2**32 - 1, (3,), np.uint32), spaces.Box(0, 200, (2,), np.uint8), {}),
    "truth": (spaces.Box(0, 1, (4,), np.bool_), spaces.MultiBinary(5), {}),
    "one number": (spaces.Box(-3, 3, ()), spaces.Box(-2, 2, ()), {}),
    "choice, choice": (spaces.Discrete(6), spaces.Discrete(2), {}),
    "many choices": (spaces.Discrete(20_000), spaces.MultiDiscrete([3, 2]), {}),
    "far choices": (spaces.Discrete(3, start=2**30), spaces.Discrete(3, start=2**30), {}),
    "choices": (spaces.MultiDiscrete([3, 4], start=[-1, 2]), spaces.MultiDiscrete([[2, 3], [4, 2]]), {}),
    "mixed": (MIXED, ACTIONS, {}),
    "not normalised, mixed": (MIXED, ACTIONS, {"normalizes": False, "activation": "relu"}),
    "no masks": (NUMBERS, ACTIONS, {"masks": False}),
    "tuples": (spaces.Tuple([NUMBERS, spaces.Dict(x=spaces.Discrete(2))]), spaces.Tuple([spaces.Discrete(2)]), {}),
    "memory": (NUMBERS, spaces.Discrete(3), {"memory_size": 16}),
    "memory, mixed": (MIXED, ACTIONS, {"memory_size": 32}),
    "image": (CAMERA, spaces.Discrete(6), {}),
    "stacked images": (spaces.Box(0, 255, (3, 36, 40, 3), np.uint8), spaces.Box(-1, 1, (2,)), {"activation": "relu"}),
    "own convolutions": (spaces.Box(0, 255, (33, 34), np.uint8), spaces.Discrete(4), {"network": "16x3/2,32x2/2,48"}),
    "over the edges": (CAMERA, spaces.Discrete(3), {"network": "16x4/3s,16x3s,32x2/2,32"}),
    "image, a critic with its own": (CAMERA, spaces.Discrete(3), {"network": "16x4/3,32", "share_torso": False}),
    "image, memory, numbers": (
        spaces.Dict(eye=spaces.Box(0, 255, (36, 36), np.uint8), ear=NUMBERS, state=spaces.Discrete(3)),
        spaces.Dict(arm=spaces.Box(-1, 1, (2,)), shoot=spaces.Discrete(2)),
        {"memory_size": 16},
    ),
}  # fmt: skip


def policy_of(observation_space, action_space, seed=0, env_id="Case-v0", **settings):
    """A policy with random parameters, whose outputs are about 1 in size, and random statistics."""
    normalizes = settings.pop("normalizes", True)
    settings = {"hidden_sizes": (32, 32), "activation": "tanh", **settings}
    architecture = architecture_for(observation_space, action_space, normalizes=normalizes, **settings)
    rng = np.random.default_rng(seed)
    parameters = initial_parameters(architecture, "orthogonal", -0.5, seed)
    for name, array in parameters.items():
        if name.endswith("bias"):
            array[...] += rng.normal(size=array.shape) / 5
    last = architecture.blocks("actor")[-1].name
    parameters[f"{last}.weight"] *= 100
    moments = Moments.of(architecture.num_real) if normalizes else None
    if moments is not None:
        moments.mean[...] = rng.normal(size=architecture.num_real)
        moments.variance[...] = rng.uniform(0.1, 3, architecture.num_real)
        _fit(moments, architecture, observation_space)
    return Policy(env_id, observation_space, action_space, architecture, parameters, moments)


def _fit(moments, architecture, space):
    """Sets the statistics to those of samples from the space, so that not every input is clipped."""
    from a2c.spaces import part_of

    rows, column = rows_of(space, 200), 0
    for leaf in architecture.leaves:
        if leaf.kind == "real":
            values = part_of(rows, leaf.name).reshape(200, -1).astype(np.float64)
            here = slice(column, column + leaf.columns)
            moments.mean[here], moments.variance[here] = values.mean(0), values.var(0) * 0.9
            column += leaf.columns


def rows_of(space, count, seed=1):
    """Random observations, as rows."""
    import generated

    return generated.rows_of(space, count, seed)


def inputs_for(policy, count, seed=1):
    """Rows of observations [B], masks [B, K] (every third allows everything), and carries [B, H]."""
    rng = np.random.default_rng(seed)
    actions = Actions(policy.action_space)
    masks = random_masks(rng, actions.factors, actions.num_masks, count)
    masks[::3] = 1
    carry = rng.uniform(-1, 1, (count, policy.architecture.memory_size)).astype(np.float32)
    return rows_of(policy.observation_space, count, seed), masks, carry
