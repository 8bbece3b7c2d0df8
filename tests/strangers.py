"""Environments as other people write them: each is ordinary except for one oddity.

`ODDITIES` maps a description to an `Oddity`: how to make the environment, and what training on it must print. The right
outcome follows from the description, never from what the code happens to do.
"""

import decimal
import fractions
import os
import random
import sys
import threading
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

HALF = np.array([0.25, -0.5], np.float32)
NAN, INF = float("nan"), float("inf")


class Stranger(gymnasium.Env):
    """Episodes of five steps, observations of two numbers, two actions, except for what `parts` replaces.

    obs(t), reward(t), terminated(t), truncated(t) and info(t) give what is returned after t steps. reset(env) and
    step(env) replace the methods.
    """

    def __init__(self, **parts):
        self.observation_space = parts.pop("observation_space", Box(-1, 1, (2,), np.float32))
        self.action_space = parts.pop("action_space", Discrete(2))
        self._parts = parts
        self.t = 0

    def _part(self, name, otherwise):
        return self._parts[name](self.t) if name in self._parts else otherwise

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        if "reset" in self._parts:
            return self._parts["reset"](self)
        return self._part("obs", HALF), self._part("info", {})

    def step(self, action):
        self.t += 1
        self.action = action
        if "step" in self._parts:
            return self._parts["step"](self)
        return (
            self._part("obs", HALF),
            self._part("reward", 1.0),
            self._part("terminated", self.t == 5),
            self._part("truncated", False),
            self._part("info", {}),
        )


class Oddity(NamedTuple):
    """One stranger's environment, and the right outcome of training on it."""

    make: Any
    says: tuple[str, ...] = ()  # parts of the sentence that refuses it; empty: it trains
    warns: str | None = None  # part of every warning
    error: str = "EnvError"  # or UserError
    settings: Any = None  # in addition to the test's


def at(step, odd, otherwise=HALF):
    """A function of t: `odd` at that step of an episode, else the ordinary value."""
    return lambda t: odd if t == step else otherwise


def trains(settings=None, **parts):
    return Oddity(lambda: Stranger(**parts), settings=settings)


def says(*words, error="EnvError", settings=None, **parts):
    return Oddity(lambda: Stranger(**parts), words, error=error, settings=settings)


def warns(word, settings=None, **parts):
    return Oddity(lambda: Stranger(**parts), warns=word, settings=settings)


def made(make, *words, error="EnvError", warns=None, settings=None):
    return Oddity(make, words, warns, error, settings)


BYTES = Box(0, 255, (2,), np.uint8)
WHOLE = Box(-100, 100, (2,), np.int64)
UNBOUNDED = Box(-INF, INF, (2,), np.float32)
DOUBLE = Box(-INF, INF, (2,), np.float64)


class HasArray:
    """Like values of jax, torch and pandas: not an array, but can be converted to one."""

    def __array__(self, dtype=None, copy=None):
        return np.array(HALF, dtype)


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("I have no words")


def raising(error):
    def odd(env):
        raise error

    return odd


def old_reset(self):
    return HALF, {}


def no_options(self, *, seed=None):
    self.t = 0
    return HALF, {}


def no_seed(self, *, options=None):
    self.t = 0
    return HALF, {}


def positional(self, seed=None, options=None):
    self.t = 0
    return HALF, {}


def any_keywords(self, **kwargs):
    self.t = 0
    return HALF, {}


def variant(**attributes):
    """A subclass with other methods or attributes."""
    return type("Variant", (Stranger,), attributes)


class ReusesItsArrays(Stranger):
    """Returns the same array at every step, and writes into it."""

    buffer = np.zeros(2, np.float32)

    def reset(self, **kwargs):
        _, info = super().reset(**kwargs)
        self.mine = np.zeros(2, np.float32)
        return self.mine, info

    def step(self, action):
        self.mine += 0.1
        return self.mine, *super().step(action)[1:]


class ScribblesOnItsAction(Stranger):
    def __init__(self):
        super().__init__(action_space=Box(-1, 1, (2,), np.float32))

    def step(self, action):
        action[...] = NAN
        return super().step(action)


class ChangesItsSpaces(Stranger):
    """Declares its true spaces only when it is reset, as some simulators do."""

    def reset(self, **kwargs):
        self.observation_space = Box(-1, 1, (3,), np.float32)
        super().reset(**kwargs)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        return np.zeros(3, np.float32), *super().step(action)[1:]


class RandomBounds(Stranger):
    """Every instance has other bounds of its observation space."""

    def __init__(self):
        high = random.Random(os.urandom(8)).uniform(1, 2)
        super().__init__(observation_space=Box(-high, high, (2,), np.float32))


class RaisesWhenAsked(Stranger):
    @property
    def observation_space(self):
        raise RuntimeError("not connected")

    @observation_space.setter
    def observation_space(self, space):
        pass


class ThreadsInStep(Stranger):
    def step(self, action):
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        return super().step(action)


class NoisyEverywhere(Stranger):
    def step(self, action):
        print("step!")
        print("step!", file=sys.stderr)
        os.write(1, b"from below\n")
        return super().step(action)


class StrictNumPy(Stranger):
    """Makes NumPy raise instead of warn, as people do to debug."""

    def step(self, action):
        np.seterr(all="raise")
        return super().step(action)


class Slotted(gymnasium.Env):
    __slots__ = ("t",)
    observation_space = Box(-1, 1, (2,), np.float32)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return HALF, {}

    def step(self, action):
        self.t += 1
        return HALF, 1.0, self.t == 5, False, {}


class AnythingGoes(Stranger):
    """Has every attribute, as proxies to simulators do."""

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args: None


class SpaceOfItsOwn(Box):
    """A subclass that adds nothing."""


def wrapped(*wrappers):
    def make():
        env = gymnasium.wrappers.TimeLimit(Stranger(), 5)
        for wrapper in wrappers:
            env = wrapper(env)
        return env

    return make


class WantsAFrame(Stranger):
    def __init__(self, df):
        super().__init__()


_one = Stranger()


ODDITIES: dict[str, Oddity] = {
    # -- observations with the right numbers, but of another type
    "an observation in float64": trains(obs=lambda t: HALF.astype(np.float64)),
    "an observation in float16": trains(obs=lambda t: HALF.astype(np.float16)),
    "an observation as a list": trains(obs=lambda t: [0.25, -0.5]),
    "an observation as a tuple": trains(obs=lambda t: (0.25, -0.5)),
    "an observation of Python's whole numbers": trains(obs=lambda t: [0, 1]),
    "an observation of bools": trains(obs=lambda t: np.array([True, False])),
    "an observation that can be made an array": trains(obs=lambda t: HasArray()),
    "an observation in the other byte order": trains(obs=lambda t: HALF.astype(">f4")),
    "an observation that is not contiguous": trains(obs=lambda t: np.zeros((2, 9), np.float32)[:, 3]),
    "an observation that cannot be written to": trains(obs=lambda t: np.frombuffer(HALF.tobytes(), np.float32)),
    "observations in an array that is used again": made(ReusesItsArrays),
    "bytes as a list": trains(observation_space=BYTES, obs=lambda t: [0, 255]),
    "bytes in int64": trains(observation_space=BYTES, obs=lambda t: np.array([7, 255])),
    "a space in the other byte order": trains(observation_space=Box(-1, 1, (2,), np.dtype(">f4"))),
    "a space of half precision": trains(observation_space=Box(-1, 1, (2,), np.float16)),
    "a space of double precision": trains(observation_space=DOUBLE, obs=lambda t: [0.1, 0.2]),
    "a space of whole numbers": trains(observation_space=WHOLE, obs=lambda t: [3, -100]),
    "a space of bools": trains(observation_space=Box(0, 1, (2,), np.bool_), obs=lambda t: [True, False]),
    "a space without a dimension": trains(observation_space=Box(-1, 1, (), np.float32), obs=lambda t: 0.5),
    "a space without a dimension, observed as an array": trains(
        observation_space=Box(-1, 1, (), np.float32), obs=lambda t: np.array(0.5)
    ),
    "a space that is a subclass of Box": trains(observation_space=SpaceOfItsOwn(-1, 1, (2,), np.float32)),
    "a matrix": trains(observation_space=Box(-1, 1, (2, 3), np.float32), obs=lambda t: np.zeros((2, 3))),
    # -- observations that a cast would change
    "a fraction among bytes": says(
        "0.7", "environment 0", "step 3", observation_space=BYTES, obs=at(3, [0.7, 0], [0, 1])
    ),
    "300 among bytes": says("300", "environment 0", observation_space=BYTES, obs=at(3, [300, 0], [0, 1])),
    "-1 among bytes": says("-1", observation_space=BYTES, obs=at(3, np.array([-1, 0]), [0, 1])),
    "NaN among bytes": says("nan", observation_space=BYTES, obs=at(3, [NAN, 0], [0, 1])),
    "NaN among whole numbers": says("nan", observation_space=WHOLE, obs=at(3, np.array([NAN, 0.0]), [0, 1])),
    "infinity among whole numbers": says("inf", observation_space=WHOLE, obs=at(3, np.array([INF, 0.0]), [0, 1])),
    "a fraction among whole numbers": says("0.5", observation_space=WHOLE, obs=at(3, np.array([0.5, 0.0]), [0, 1])),
    "2 among bools": says("2", observation_space=Box(0, 1, (2,), np.bool_), obs=at(3, np.array([2, 0]), [True, False])),
    "a whole number beyond 64 bits": says("observation", observation_space=WHOLE, obs=at(3, [2**70, 0], [0, 1])),
    "a fraction among bytes at a reset": says("0.7", "reset", observation_space=BYTES, obs=at(0, [0.7, 0], [0, 1])),
    "a complex observation": says("complex", obs=at(2, HALF + 1j)),
    "an observation of text": says("observation", obs=at(2, ["a", "b"])),
    "text that looks like numbers": says("observation", obs=at(2, ["0.1", "0.2"])),
    "an observation that is None": says("None", obs=at(2, None)),
    "an observation that holds None": says("None", obs=at(2, [None, 0.0])),
    "an observation with a masked element": says(
        "observation", obs=at(2, np.ma.masked_array(HALF, mask=[True, False]))
    ),
    "an observation that is a dict": says("dict", obs=at(2, {"position": HALF})),
    "an observation that is a dict from the start": says("dict", obs=lambda t: {"position": HALF}),
    "an observation that is an object": says("observation", obs=at(2, object())),
    "an observation of dates": says("observation", obs=at(2, np.array(["2026-01-01"] * 2, "datetime64[D]"))),
    # -- shapes
    "a row too many": says("(1, 2)", "(2,)", obs=at(3, HALF[None])),
    "one number that would be spread": says("(1,)", "(2,)", obs=at(3, HALF[:1])),
    "a plain number that would be spread": says("()", "(2,)", obs=at(3, 0.5)),
    "three numbers": says("(3,)", "(2,)", obs=at(3, np.zeros(3, np.float32))),
    "three numbers at a reset": says("(3,)", "(2,)", obs=at(0, np.zeros(3, np.float32))),
    "a ragged list": says("observation", obs=at(3, [[0.0], [0.0, 1.0]])),
    "two arrays": says("observation", obs=at(3, (HALF, HALF))),
    "another shape at the end of an episode": says("(3,)", obs=at(5, np.zeros(3, np.float32))),
    # -- NaN and infinity
    "NaN": says("nan", "environment 0", "step", error="NumbersError", obs=at(3, np.array([NAN, 0], np.float32))),
    "infinity": says("inf", error="NumbersError", obs=at(3, np.array([0, -INF], np.float32))),
    "NaN at the start of an episode": says("nan", error="NumbersError", obs=at(0, np.array([NAN, 0], np.float32))),
    "1e39 in single precision": says("1e+39", "environment 0", obs=at(3, np.array([1e39, 0]))),
    "1e39 in double precision": says(
        "1e+39", "environment 0", error="NumbersError", observation_space=DOUBLE, obs=at(3, [1e39, 0.0])
    ),
    "70,000 in half precision": says(
        "70000.0", observation_space=Box(-INF, INF, (2,), np.float16), obs=at(3, [7e4, 0.0])
    ),
    "NaN in the last observation of a terminated episode": trains(obs=at(5, np.array([NAN, 0], np.float32))),
    "infinity in the last observation of a terminated episode": trains(
        settings={"normalize_observations": True}, obs=at(5, np.array([INF, 0], np.float32))
    ),
    "NaN in the last observation of an episode that is both": trains(
        obs=at(5, np.array([NAN, 0], np.float32)), truncated=lambda t: t == 5
    ),
    "NaN in the last observation of a truncated episode": says(
        "environment 0",
        error="NumbersError",
        obs=at(5, np.array([NAN, 0], np.float32)),
        terminated=lambda t: False,
        truncated=lambda t: t == 5,
    ),
    "1e30 observed, normalised": trains(
        settings={"normalize_observations": True}, observation_space=UNBOUNDED, obs=lambda t: [1e30, -1e30]
    ),
    "constants observed, normalised": trains(settings={"normalize_observations": True}, obs=lambda t: HALF),
    # -- bounds
    "500 between -1 and 1": warns("500", obs=at(3, np.array([500, 0], np.float32))),
    "just outside the bounds": warns("bounds", obs=at(3, np.array([1.001, 0], np.float32))),
    "7 of at most 5": warns("7", observation_space=Box(0, 5, (2,), np.int64), obs=at(3, [7, 0], [0, 1])),
    "bounds that differ from one environment to the next": Oddity(RandomBounds, warns="the bounds of"),
    # -- rewards
    "a reward in float32": trains(reward=lambda t: np.float32(0.5)),
    "a reward in float16": trains(reward=lambda t: np.float16(0.5)),
    "a reward that is an array of no dimension": trains(reward=lambda t: np.array(0.5)),
    "a reward that is an array of one number": trains(reward=lambda t: np.array([0.5])),
    "a whole number for a reward": trains(reward=lambda t: 1),
    "a bool for a reward": trains(reward=lambda t: True),
    "a decimal for a reward": trains(reward=lambda t: decimal.Decimal("0.5")),
    "a fraction for a reward": trains(reward=lambda t: fractions.Fraction(1, 2)),
    "a reward of two numbers": says(
        "reward of 2 numbers", "--reward-weights", "environment 0", reward=at(3, np.array([0.5, 1]), 0.0)
    ),
    "a reward that is None": says("reward", "None", "step 3", reward=at(3, None, 0.0)),
    "a reward that is text": says("reward", "'1'", reward=at(3, "1", 0.0)),
    "a complex reward": says("reward", reward=at(3, 1j, 0.0)),
    "a reward that is a dict": says("reward", "dict", reward=at(3, {"agent": 1.0}, 0.0)),
    "a reward that is NaN": says("reward of nan", error="NumbersError", reward=at(3, NAN, 0.0)),
    "an infinite reward": says("reward of inf", error="NumbersError", reward=at(3, INF, 0.0)),
    "a reward of 1e39": says("reward", "1e+39", error="NumbersError", reward=at(3, 1e39, 0.0)),
    # -- ends
    "ends as whole numbers": trains(terminated=lambda t: int(t == 5), truncated=lambda t: 0),
    "ends as NumPy's bools": trains(terminated=lambda t: np.bool_(t == 5)),
    "ends as arrays of one": trains(terminated=lambda t: np.array([t == 5]), truncated=lambda t: np.array(False)),
    "terminated is None": says("terminated", "None", terminated=at(3, None, False)),
    "terminated is text": says("terminated", "'no'", terminated=at(3, "no", False)),
    "terminated is two bools": says("terminated", terminated=at(3, np.array([True, False]), False)),
    "truncated is a dict": says("truncated", "{}", truncated=at(3, {}, False)),
    "terminated is NaN": says("terminated", "nan", terminated=at(3, NAN, False)),
    "every step ends an episode": trains(terminated=lambda t: True),
    "every step ends an episode in both ways": trains(terminated=lambda t: True, truncated=lambda t: True),
    "episodes without an end": trains(terminated=lambda t: False),
    # -- info
    "an info that is a list": says("info", "list", info=at(3, [1], {})),
    "an info that is text": says("info", "str", info=at(3, "fine", {})),
    "infos with other keys every time": trains(info=lambda t: {f"key{t}": t}),
    "an info that cannot be pickled": trains(info=lambda t: {"lock": threading.Lock()}),
    "an info that knows our names": trains(info=lambda t: {"final_obs": 1, "final_info": 2, "_final_obs": 3}),
    # -- the old interface, and other results
    "a step of four": says("Gym", "5", step=lambda env: (HALF, 1.0, env.t == 5, {})),
    "a step of three": says("3", step=lambda env: (HALF, 1.0, False)),
    "a step of six": says("6", step=lambda env: (HALF, 1.0, False, False, {}, 1)),
    "a step of nothing": says("None", step=lambda env: None),
    "a reset of the observation alone": says("reset", "info", reset=lambda env: HALF),
    "a reset of nothing": says("reset", "None", reset=lambda env: None),
    "a reset of three": says("reset", reset=lambda env: (HALF, {}, 1)),
    "a reset whose info is None": says("info", "None", reset=lambda env: (HALF, None)),
    "a reset that takes nothing": made(variant(reset=old_reset), "reset", "seed"),
    "a reset without options": made(variant(reset=no_options), "reset", "options"),
    "a reset without a seed": made(variant(reset=no_seed), "reset", "seed"),
    "a reset with positional arguments": made(variant(reset=positional)),
    "a reset that takes any keywords": made(variant(reset=any_keywords)),
    # -- raising
    "a step that raises": says("went wrong", "step 1", step=raising(ValueError("went wrong"))),
    "a reset that raises": says("went wrong", "reset", reset=raising(ValueError("went wrong"))),
    "a step that exits": says("step", step=raising(SystemExit(3))),
    "a step that ends a loop": says("StopIteration", step=raising(StopIteration("over"))),
    "an exception without words": says("UnprintableError", step=raising(UnprintableError())),
    "a close that raises": Oddity(
        variant(close=lambda self: raising(ValueError("stuck"))(self)), warns="closing an environment raised"
    ),
    # -- constructors
    "a constructor with an argument": made(WantsAFrame, "df", "--env-kwargs", error="UserError"),
    "an instance": Oddity(None, ("lambda",), error="UserError"),  # see test_strangers.py
    "a callable that gives the same object every time": made(lambda: _one, "same", error="UserError"),
    "a new wrapper around the same object": made(
        lambda: gymnasium.wrappers.TimeLimit(_one, 5), "same", error="UserError"
    ),
    "a callable that gives nothing": made(lambda: None, "NoneType", error="UserError"),
    "a callable that gives a class": made(lambda: Stranger, "type", error="UserError"),
    "a callable that gives an id": made(lambda: "CartPole-v1", "str", error="UserError"),
    "a vector environment": made(
        lambda: gymnasium.vector.SyncVectorEnv([Stranger]), "SyncVectorEnv", error="UserError"
    ),
    "a module that is missing": made(
        lambda: __import__("no_such_package_at_all"), "no_such_package_at_all", error="UserError"
    ),
    "a constructor that raises": made(lambda: raising(ValueError("no licence"))(None), "no licence"),
    # -- spaces
    "no observation space": says("observation_space", error="UserError", observation_space=None),
    "a class for a space": says("observation_space", "Box", error="UserError", observation_space=Box),
    "a tuple for a space": says("observation_space", error="UserError", observation_space=(2,)),
    "a space that raises": made(RaisesWhenAsked, "not connected"),
    "a space that changes at a reset": made(ChangesItsSpaces, "(3,)", "(2,)"),
    "an empty space": says(
        "a part that is made of numbers", error="UserError", observation_space=Box(-1, 1, (0,), np.float32)
    ),
    "one action": trains(action_space=Discrete(1)),
    "actions from -1": trains(action_space=Discrete(3, start=-1)),
    "actions of another type": trains(action_space=Discrete(2, dtype=np.int32)),
    "actions of a byte": trains(action_space=Discrete(2, dtype=np.uint8)),
    "an action of one dimension less": trains(action_space=Box(-1, 1, (), np.float32)),
    "an action of two dimensions": trains(action_space=Box(-1, 1, (2, 3), np.float32)),
    "an action of half precision": trains(action_space=Box(-1, 1, (2,), np.float16)),
    "an action of double precision": trains(action_space=Box(-1, 1, (2,), np.float64)),
    "an action without bounds": trains(action_space=Box(-INF, INF, (2,), np.float32)),
    "an action with one bound": trains(action_space=Box(0, INF, (2,), np.float32)),
    "an action that cannot move": trains(action_space=Box(1, 1, (2,), np.float32)),
    "an action that may be huge": trains(action_space=Box(-1e38, 1e38, (2,), np.float32)),
    "actions of whole numbers": made(variant(action_space=Box(0, 9, (2,), np.int64))),
    "an action that is scribbled on": made(ScribblesOnItsAction),
    # -- manners
    "metadata that is None": made(variant(metadata=None)),
    "metadata that is empty": made(variant(metadata={})),
    "threads": made(ThreadsInStep),
    "print": made(NoisyEverywhere),
    "NumPy's errors raised": made(StrictNumPy),
    "slots": made(Slotted),
    "an attribute for every question": made(AnythingGoes),
    "a wrapper that normalises observations": Oddity(
        wrapped(gymnasium.wrappers.NormalizeObservation), warns="normalize_observations"
    ),
    "a wrapper that normalises rewards": Oddity(wrapped(gymnasium.wrappers.NormalizeReward), warns="normalize_returns"),
    "wrappers that only look": made(
        wrapped(gymnasium.wrappers.RecordEpisodeStatistics, gymnasium.wrappers.FlattenObservation)
    ),
    "a wrapper that starts anew by itself": made(wrapped(gymnasium.wrappers.Autoreset)),
}
