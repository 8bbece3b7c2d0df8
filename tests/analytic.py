"""Environments with known answers: optimal policies and values follow from their docstrings."""

import gymnasium
import numpy as np


class ConstantReward(gymnasium.Env):
    """Reward 1 at every step, one observation for all states, episodes of `length` steps.

    With a time limit (`terminates=False`), the state after it is worth as much as any: V = 1 / (1 - gamma).
    With a termination, V is the mean over an episode's steps, k = 1..length, of (1 - gamma^k) / (1 - gamma).
    """

    def __init__(self, length=5, terminates=False):
        self.observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self._length, self._terminates = length, terminates

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return np.ones(1, np.float32), {}

    def step(self, action):
        self._steps += 1
        over = self._steps >= self._length
        return np.ones(1, np.float32), 1.0, over and self._terminates, over and not self._terminates, {}


class MatchTheCue(gymnasium.Env):
    """Shows one of n cues (one-hot) for `length` steps; reward 1 if the action is the cue. Best return: length."""

    def __init__(self, n=3, length=8, start=0):
        self.observation_space = gymnasium.spaces.Box(0, 1, (n,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(n, start=start)
        self._n, self._length, self._start = n, length, start

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._next(), {}

    def step(self, action):
        reward = float(action - self._start == self._cue)
        self._steps += 1
        return self._next(), reward, self._steps == self._length, False, {}

    def _next(self):
        self._cue = int(self.np_random.integers(self._n))
        return np.eye(self._n, dtype=np.float32)[self._cue]


class PayLater(gymnasium.Env):
    """Two steps: the first action decides the reward of the second step (1 for action 1). Best return: 1."""

    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._chosen = None
        return np.array([1, 0], np.float32), {}

    def step(self, action):
        if self._chosen is None:
            self._chosen = int(action)
            # The second state does not show the choice, so only returns over both steps can credit it.
            return np.array([0, 1], np.float32), 0.0, False, False, {}
        return np.zeros(2, np.float32), float(self._chosen), True, False, {}


class HitTheTarget(gymnasium.Env):
    """Reward -(action - target)^2 summed over dimensions; the target is the observation, in the action's Box.

    Best return: 0. Actions span [low, high], so the policy must scale.
    """

    def __init__(self, low=-2.0, high=6.0, length=8):
        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(low, high, (2,), np.float32)
        self._low, self._high, self._length = low, high, length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._next(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        target = self._low + (self._obs + 1) / 2 * (self._high - self._low)
        reward = -float(np.sum((action - target) ** 2))
        self._steps += 1
        return self._next(), reward, False, self._steps == self._length, {}

    def _next(self):
        self._obs = self.np_random.uniform(-0.8, 0.8, 2).astype(np.float32)
        return self._obs


class SetTheDials(gymnasium.Env):
    """Shows two numbers and a switch; reward 1/2 for each of two dials set right. Best return: length.

    The right first dial is the first number, plus 1 if the switch is on; the right second dial is the second number.
    A policy blind to the switch reaches at most 3/4 of that.
    """

    def __init__(self, length=8):
        self.observation_space = gymnasium.spaces.Dict(
            shown=gymnasium.spaces.MultiDiscrete([3, 4]), switch=gymnasium.spaces.Discrete(2)
        )
        self.action_space = gymnasium.spaces.MultiDiscrete([4, 4])
        self._length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._next(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        reward = float(np.mean(action == self._right))
        self._steps += 1
        return self._next(), reward, self._steps == self._length, False, {}

    def _next(self):
        shown, switch = self.np_random.integers([3, 4]), self.np_random.integers(2)
        self._right = shown + np.array([switch, 0])
        return {"shown": shown, "switch": switch}


class ChooseAndAim(gymnasium.Env):
    """Shows a cue and a target; reward 1 - (aim - target)^2 if the choice is the cue, else 0. Best return: length.

    The targets lie to both sides of the middle of the aim's range. Right choices with an aim at the middle bring 3/4
    of that.
    """

    def __init__(self, length=8):
        self.observation_space = gymnasium.spaces.Tuple(
            [gymnasium.spaces.Discrete(3), gymnasium.spaces.Box(-2, 2, (1,), np.float32)]
        )
        self.action_space = gymnasium.spaces.Tuple(
            [gymnasium.spaces.Discrete(3), gymnasium.spaces.Box(-1, 3, (1,), np.float32)]
        )
        self._length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._next(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        choice, aim = action
        reward = float(1 - (aim[0] - 1 - self._target) ** 2) if choice == self._cue else 0.0
        self._steps += 1
        return self._next(), reward, self._steps == self._length, False, {}

    def _next(self):
        self._cue = int(self.np_random.integers(3))
        self._target = float(self.np_random.choice([-0.5, 0.5]))
        return self._cue, np.array([self._target], np.float32)
