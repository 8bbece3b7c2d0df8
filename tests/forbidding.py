"""Environments that raise on any forbidden action, for every form of mask and every place where it can be given."""

import functools
import itertools
from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

ACTIONS = {
    "discrete": Discrete(5, start=-2),
    "multi-discrete": MultiDiscrete([3, 4, 2], start=[0, 1, -1]),
    "bits": MultiBinary(3),
    "dict": Dict(force=Box(-1, 1, (2,), np.float32), move=Discrete(4), tools=MultiBinary(2)),
    "tuple": Tuple([Discrete(3, start=1), MultiDiscrete([2, 3])]),
    "tuple with a number": Tuple([Box(-1, 1, (1,), np.float32), Discrete(3)]),
}

CASES = [
    (action, form, place)
    for action, forms in {
        "discrete": ["flat"],
        "multi-discrete": ["flat", "nested"],
        "bits": ["flat", "nested"],
        "dict": ["flat", "nested"],
        "tuple": ["flat", "nested"],
        "tuple with a number": ["flat", "nested"],
    }.items()
    for form in forms
    for place in ("info", "observation", "method")
    # No Gymnasium space can hold None, the mask of a Box.
    if (action, form, place) != ("tuple with a number", "nested", "observation")
]
"""Every combination of action space, form of the mask, and place where it is given."""

LENGTH = 25
"""Steps of an episode."""


class ForbiddenError(Exception):
    """An action that was not allowed."""


class Forbidding(gymnasium.Env):
    """Random masks from the episode's seed, which always allow something; it raises if the action disobeys them.

    The reward is the share of choices that are the last allowed one, so that the best return is LENGTH for every action
    space. The observation shows the last allowed choices.
    """

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, action="discrete", form="flat", place="info", left=None, render_mode=None):
        """`left` choices are allowed at a time; None: any number of them."""
        self.action_space = ACTIONS[action]
        self.render_mode = render_mode
        self._form, self._place, self._left = form, place, left
        self._sizes = sizes_of(self.action_space)
        seen = {"last": MultiDiscrete(self._sizes)}
        if place == "observation":
            seen["action_mask"] = space_of(self._mask_of([np.ones(size, np.int8) for size in self._sizes]))
        self.observation_space = Dict(seen)
        if place == "method":
            self.action_masks = lambda: self._mask_of(self._allowed)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._next()

    def step(self, action):
        chosen = choices_of(self.action_space, action)
        for choice, allowed in zip(chosen, self._allowed, strict=True):
            if not allowed[choice]:
                raise ForbiddenError(f"{action} is not allowed by {self._allowed}")
        self._steps += 1
        reward = np.mean([choice == last for choice, last in zip(chosen, self._last, strict=True)])
        return *self._next(reward), self._steps == LENGTH, False, self._info()

    def render(self):
        return np.full((8, 8, 3), self._steps, np.uint8)

    def _next(self, *reward):
        self._allowed = []
        for size in self._sizes:
            left = self._left or int(self.np_random.integers(1, size + 1))
            allowed = np.zeros(size, np.int8)
            allowed[self.np_random.permutation(size)[:left]] = 1
            self._allowed.append(allowed)
        self._last = [int(np.flatnonzero(allowed)[-1]) for allowed in self._allowed]
        obs = {"last": np.array(self._last)}
        if self._place == "observation":
            obs["action_mask"] = self._mask_of(self._allowed)
        return (obs, *map(float, reward)) if reward else (obs, self._info())

    def _info(self):
        return {"action_mask": self._mask_of(self._allowed)} if self._place == "info" else {}

    def _mask_of(self, allowed):
        if self._form == "flat":
            return np.concatenate(allowed)
        return nested(self.action_space, iter(allowed), self._place == "observation")


def making(case, **others):
    """A function that constructs the environment of a case."""
    return functools.partial(Forbidding, *case, **others)


def sizes_of(space):
    """The number of choices in each part of an action."""
    match space:
        case Discrete():
            return [int(space.n)]
        case MultiDiscrete():
            return space.nvec.tolist()
        case MultiBinary():
            return [2] * int(space.n)
        case Box():
            return []
        case Dict():
            return list(itertools.chain.from_iterable(map(sizes_of, space.spaces.values())))
    return list(itertools.chain.from_iterable(map(sizes_of, space.spaces)))


def choices_of(space, action):
    """The choices of an action, counted from 0."""
    assert space.contains(action), action
    match space:
        case Discrete():
            return [int(action - space.start)]
        case MultiDiscrete():
            return (action - space.start).tolist()
        case MultiBinary():
            return action.tolist()
        case Box():
            return []
        case Dict():
            return [choice for key, one in space.spaces.items() for choice in choices_of(one, action[key])]
    return [choice for one, part in zip(space.spaces, action, strict=True) for choice in choices_of(one, part)]


def nested(space, allowed, is_observed):
    """A mask as Gymnasium's `sample` takes it: with the structure of the action, and bits as 0, 1 and 2."""
    match space:
        case Discrete():
            return next(allowed)
        case MultiDiscrete():
            return tuple(next(allowed) for _ in space.nvec)
        case MultiBinary():
            pairs = [next(allowed) for _ in range(space.n)]
            return np.array([2 if pair.all() else pair[1] for pair in pairs], np.int8)
        case Box():
            return None
        case Dict():
            masks = {key: nested(one, allowed, is_observed) for key, one in space.spaces.items()}
            return {key: mask for key, mask in masks.items() if mask is not None} if is_observed else masks
    return tuple(nested(one, allowed, is_observed) for one in space.spaces)


def space_of(mask):
    """The space of an observed mask."""
    if isinstance(mask, dict):
        return Dict({key: space_of(one) for key, one in mask.items()})
    if isinstance(mask, tuple):
        return Tuple([space_of(one) for one in mask])
    return Box(0, 2, mask.shape, np.int8) if mask.max() == 2 else MultiBinary(len(mask))
