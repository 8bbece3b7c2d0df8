"""An environment of your own in compiled form: checked against the same one as a plain gymnasium.Env, then trained.

python examples/compiled_environment.py
"""

import gymnasium
import numpy as np

import a2c

STEP, THRUST, EDGE = 0.1, 1.0, 5.0


# -- three plain functions on arrays --


def reset(state, random):
    """The craft starts up to 3 m from the dock, drifting."""
    state[0] = 6.0 * random[0] - 3.0  # position, m
    state[1] = 2.0 * random[1] - 1.0  # velocity, m/s


def step(state, action, random):
    """Thrust backwards, not at all, or forwards."""
    thrust = THRUST * (action - 1)
    state[1] += STEP * thrust
    state[0] += STEP * state[1]
    lost = abs(state[0]) > EDGE
    reward = 1.0 - 0.2 * abs(state[0]) - 0.1 * abs(state[1]) - 0.05 * abs(thrust)
    return (-20.0 if lost else reward), lost


def observe(state, obs):
    """The policy sees both."""
    obs[0], obs[1] = state[0], state[1]


DOCK = a2c.CompiledEnv(
    "Dock",
    reset,
    step,
    observe,
    state_size=2,
    observation_space=gymnasium.spaces.Box(-20, 20, (2,), np.float32),
    action_space=gymnasium.spaces.Discrete(3),
    max_episode_steps=100,
)


# -- the same as everybody writes it --


class PlainDock(gymnasium.Env):
    observation_space = DOCK.observation_space
    action_space = DOCK.action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.velocity = self.np_random.uniform([-3, -1], [3, 1])
        self.steps = 0
        return self._seen(), {}

    def step(self, action):
        thrust = THRUST * (int(action) - 1)
        self.velocity += STEP * thrust
        self.position += STEP * self.velocity
        self.steps += 1
        lost = abs(self.position) > EDGE
        reward = 1.0 - 0.2 * abs(self.position) - 0.1 * abs(self.velocity) - 0.05 * abs(thrust)
        return self._seen(), -20.0 if lost else reward, bool(lost), self.steps >= 100, {}

    def _seen(self):
        return np.array([self.position, self.velocity], np.float32)


def check(steps=10_000):
    """Both, from the same states, with the same actions, must show the same for ever."""
    compiled, plain = DOCK(), PlainDock()
    compiled.action_space.seed(0)
    done, episode = True, 0
    for _ in range(steps):
        if done:
            compiled.reset(seed=episode)
            plain.reset()
            plain.position, plain.velocity = compiled.unwrapped.state
            episode += 1
        action = compiled.action_space.sample()
        ours, theirs = compiled.step(action), plain.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1:4] == theirs[1:4]
        done = ours[2] or ours[3]
    print(f"{steps} steps in {episode} episodes: equal")


if __name__ == "__main__":
    check()
    run = a2c.train(
        DOCK,
        total_steps=2_000_000,
        num_envs=16,
        rollout_length=8,
        learning_rate=1e-3,
        schedule="linear",
        hidden_sizes=(64,),
        activation="relu",
        normalize_returns=True,
        eval_every_steps=200_000,
        progress=True,
    )
    print(f"{run.summary['steps_per_second']:,.0f} steps per second")
    # The policy that learnt from the compiled form, in the plain one.
    plain = run.evaluate(episodes=100, env=PlainDock)
    print(f"in the plain environment: {plain.mean:.1f} +- {plain.std:.1f}")
