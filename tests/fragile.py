"""Environments that fail in various ways, registered as `fragile:<Id>`."""

import itertools
import multiprocessing
import os

import gymnasium
import numpy as np


class Walk(gymnasium.Env):
    """A noisy walk of at most 200 steps, drawn from the episode's seed: it replays to the bit."""

    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2, start=3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = self.np_random.normal(size=2), 0
        return self.place.astype(np.float32), {}

    def step(self, action):
        assert action in (3, 4)
        self.steps += 1
        self.place = 0.9 * self.place + self.np_random.normal(size=2) + action
        obs = self.place.astype(np.float32)
        return obs, float(self.place[0]), bool(self.place[1] > 45), self.steps >= 200, {}


class Unseeded(Walk):
    """Its first number ignores the seed, so it cannot be replayed."""

    _instances = itertools.count()

    def __init__(self):
        super().__init__()
        self._drift = np.random.default_rng(os.getpid() * 1000 + next(self._instances))

    def step(self, action):
        self.place[0] += self._drift.normal()
        return super().step(action)


class Remembers(Walk):
    """Its episodes depend on those before: only the first one of a new instance can be replayed."""

    def __init__(self):
        super().__init__()
        self._sum = 0.0

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed)
        self._drift, self._sum = self._sum, self._sum + self.place[0]
        return obs, info

    def step(self, action):
        self.place[1] += self._drift
        return super().step(action)


class Mortal(Walk):
    """Kills its process at a step of an episode, until it has done so `deaths` times.

    Args:
        tombs: Folder that gets a file for each death.
        deaths: How often.
        at: The step.
        how: A signal's number; 0: hangs in Python.
        spares: The number of a process that it does not kill.
    """

    def __init__(self, tombs, deaths=1, at=5, how=9, spares=0, env=None):
        super().__init__()
        self._tombs, self._deaths, self._at, self._how, self._spares = tombs, deaths, at, how, spares

    def step(self, action):
        if self.steps + 1 == self._at and os.getpid() != self._spares:
            for death in range(self._deaths):
                try:
                    open(os.path.join(self._tombs, str(death)), "x").close()
                except FileExistsError:
                    continue
                if self._how:
                    os.kill(os.getpid(), self._how)
                while True:
                    pass
        return super().step(action)


class Late(Walk):
    """Fails at step 5 of every episode, except in the first environments that its process makes.

    Args:
        spared: How many of the first environments work.
        how: "hang" or "nan".
    """

    _instances = itertools.count()

    def __init__(self, spared=0, how="hang"):
        super().__init__()
        self._how = how if next(self._instances) >= spared else None

    def step(self, action):
        while self.steps == 4 and self._how == "hang":
            pass
        obs, *others = super().step(action)
        return (obs * np.nan if self.steps == 5 and self._how else obs, *others)


class Shy(Walk):
    """Can be stepped in workers only."""

    def step(self, action):
        assert multiprocessing.parent_process() is not None
        return super().step(action)


class Misshapen(Walk):
    """Gives an observation of another shape at the first step of its episodes."""

    def step(self, action):
        obs, *others = super().step(action)
        return (obs[:1] if self.steps == 1 else obs, *others)


class Poisoned(Walk):
    """Gives a number that is not finite at step 7: "reward", "obs", or "cut", an observation that is truncated."""

    def __init__(self, where="obs", value=float("nan")):
        super().__init__()
        self._where, self._value = where, value

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        if self.steps == 7:
            if self._where == "reward":
                reward = self._value
            else:
                obs[1] = self._value
                truncated = truncated or self._where == "cut"
        return obs, reward, terminated, truncated, info


for kind in (Walk, Unseeded, Remembers, Mortal, Late, Shy, Misshapen, Poisoned):
    gymnasium.register(f"{kind.__name__}-v0", entry_point=f"fragile:{kind.__name__}")
