"""An engine, its optimizer and a rollout, for tests of both engines."""

import numpy as np

import a2c
from a2c.engines.choice import choose_engine, team_for
from a2c.kernels.rollout import forget
from a2c.model.architecture import architecture_for
from a2c.model.blocks import features_of, forward, initial_parameters, joined, remember
from a2c.model.factors import Actions, log_prob_and_entropy
from a2c.optimizers import Optimizer
from a2c.rollout import rollout_for


def random_masks(rng, factors, num_masks, rows):
    """Masks [rows, K] that allow at least one choice of each factor, and one value of each bit."""
    mask = (rng.random((rows, num_masks)) < 0.6).astype(np.uint8)
    for factor in factors:
        if factor.kind == "gaussian":
            continue
        size = 2 if factor.kind == "bernoulli" else factor.outputs
        for first in range(
            factor.mask, factor.mask + factor.outputs * (size if factor.kind == "bernoulli" else 1), size
        ):
            mask[np.arange(rows), first + rng.integers(size, size=rows)] = 1
    return mask


class Case:
    """An engine of an architecture, with random parameters, and a rollout with random inputs, actions and targets.

    The rollout depends on the other arguments, not on the engine.
    """

    def __init__(self, engine, observation_space, action_space, shape, masked=False, seed=0, **settings):
        length, num_envs = shape
        self.config = a2c.Config(
            "none", engine=engine, rollout_length=length, num_envs=num_envs, **{"hidden_sizes": (7,), **settings}
        )
        self.actions = Actions(action_space)
        self.architecture = architecture_for(
            observation_space, action_space, self.config.hidden_sizes, self.config.activation, True,
            self.config.network, self.config.memory_size, self.config.share_torso,
        )  # fmt: skip
        self.num_masks = self.actions.num_masks if masked else 0
        rng = np.random.default_rng(seed)
        self.initial = initial_parameters(self.architecture, "xavier", -0.5, seed)
        for name, array in self.initial.items():
            if name.endswith("bias"):
                array[...] = rng.normal(size=array.shape) / 2
        self.rollout = rollout_for(self.architecture, length, num_envs, self.num_masks, False)
        self.fill(rng)
        if self.architecture.memory_size:
            self.rollout.terminated[...], self.rollout.truncated[...] = rng.random((2, *shape)) < 0.15
        self.begin()
        self.act()
        self.draw_actions(rng)

    def begin(self, parameters=None):
        """Creates a new engine and a new optimizer."""
        team = team_for(self.config, self.architecture)
        self.engine = choose_engine(self.config, self.architecture, self.num_masks, team)
        self.optimizer = Optimizer(self.config, len(self.engine.theta), self.engine.views, team)
        self.set_parameters(self.initial if parameters is None else parameters)

    def set_parameters(self, parameters):
        for name, view in self.engine.views(self.engine.theta).items():
            view[...] = parameters[name]
        self.engine.follow()

    def parameters(self):
        return self.named(self.engine.theta)

    def named(self, flat):
        """Copies of the named arrays in a flat one."""
        return {name: view.copy() for name, view in self.engine.views(flat).items()}

    def fill(self, rng):
        """Random inputs, masks, advantages and returns."""
        rollout, architecture = self.rollout, self.architecture
        floats = architecture.num_floats
        rollout.inputs[..., :floats] = rng.normal(size=(*rollout.inputs.shape[:2], floats))
        for column, choices in enumerate(architecture.choices):
            rollout.inputs[..., floats + column] = rng.integers(choices, size=rollout.inputs.shape[:2])
        rollout.pixels[...] = rng.integers(256, size=rollout.pixels.shape)
        rollout.carry[0] = rng.uniform(-1, 1, rollout.carry.shape[1:])
        if self.num_masks:
            masks = random_masks(rng, self.actions.factors, self.num_masks, rollout.value.size)
            rollout.mask[...] = masks.reshape(rollout.mask.shape)
        rollout.advantage[...], rollout.returns[...] = rng.normal(size=(2, *rollout.reward.shape))

    def draw_actions(self, rng):
        """Writes actions, sampled from the outputs with random noise and the masks."""
        rollout = self.rollout
        rows, columns = rollout.reward.size, rollout.action.shape[2]
        noise = self.actions.draw_noise(rng, rows)
        mask = rollout.mask[:-1].reshape(rows, -1) if self.num_masks else None
        log_std = self.initial.get("log_std", np.zeros(0, np.float32))
        # From the initial parameters in NumPy: the same for every engine.
        inputs, features = rollout.inputs[:-1].reshape(rows, -1), self.features(self.initial)["actor"]
        outputs = forward(np, self.architecture, "actor", self.initial, inputs, features)
        action = self.actions.sample(outputs, log_std, noise, mask)
        rollout.noise[...], rollout.action[...] = (
            array.reshape(*rollout.reward.shape, columns) for array in (noise, action)
        )

    def images(self, network, parameters):
        """What a network sees of the images of all steps, in NumPy; None where there are none."""
        pixels = self.rollout.pixels[:-1].reshape(self.rollout.reward.size, -1)
        return features_of(np, self.architecture, network, parameters, pixels) if pixels.shape[1] else None

    def features(self, parameters):
        """The same by network, and what the memory gives beside it; None if there are neither."""
        rollout, images = self.rollout, self.images("actor", parameters)
        of_critic = images if self.architecture.share_torso else self.images("critic", parameters)
        if not self.architecture.memory_size:
            return {"actor": images, "critic": of_critic}
        remembered, carry, n = [], rollout.carry[0].astype(parameters["memory.bias"].dtype), rollout.carry.shape[1]
        for t in range(len(rollout.reward)):
            seen = None if images is None else images[t * n : (t + 1) * n]
            remembered.append(remember(np, self.architecture, parameters, rollout.inputs[t], seen, carry))
            carry = remembered[-1] * ~(rollout.terminated[t] | rollout.truncated[t])[:, None]
        remembered = np.concatenate(remembered)
        return {"actor": joined(np, images, remembered), "critic": joined(np, of_critic, remembered)}

    def act(self):
        """Computes outputs and values of every step."""
        for t in range(self.config.rollout_length + 1):
            self.engine.forward(self.rollout, t)
            if t < self.config.rollout_length:
                forget(self.rollout, t, 0, self.config.num_envs)

    def value(self, inputs):
        """The critic's values of rows of inputs without images."""
        carry = np.zeros((len(inputs), self.architecture.memory_size), np.float32)
        return self.engine.value(inputs, np.zeros((len(inputs), 0), np.uint8), carry)

    def gradient(self):
        """The gradient by parameter, and the metrics."""
        flat, metrics = self.engine.gradient(self.rollout)
        return self.named(flat), metrics

    def update(self, rate=1e-3):
        """One update: the actions are those of the initial parameters, the values those of the current ones."""
        self.act()
        gradient, metrics = self.engine.gradient(self.rollout)
        norm = self.optimizer.step(self.engine.theta, gradient, rate)
        self.engine.follow()
        return metrics._replace(grad_norm=norm)

    def state(self):
        """The parameters and the optimizer's state."""
        return self.parameters() | {f"optimizer.{name}": array for name, array in self.optimizer.state().items()}

    def restore(self, state):
        self.optimizer.restore(
            {name.removeprefix("optimizer."): array for name, array in state.items() if name.startswith("optimizer.")}
        )
        self.set_parameters(state)

    def loss(self, parameters):
        """The loss in float64 NumPy, as an independent reference for the engines."""
        double = {name: array.astype(np.float64) for name, array in parameters.items()}
        rollout, config = self.rollout, self.config
        rows = rollout.reward.size
        inputs, action, mask = (
            array.reshape(rows, array.shape[2])
            for array in (rollout.inputs[:-1].astype(np.float64), rollout.action, rollout.mask[:-1])
        )
        outputs, value = (
            forward(np, self.architecture, network, double, inputs, features)
            for network, features in self.features(double).items()
        )
        log_prob, entropy = log_prob_and_entropy(
            np, self.actions.factors, outputs, double.get("log_std"), action, mask if self.num_masks else None
        )
        policy_loss = -np.mean(rollout.advantage.ravel() * log_prob)
        value_loss = np.mean((rollout.returns.ravel() - value[:, 0]) ** 2)
        return policy_loss + config.value_coef * value_loss - config.entropy_coef * np.mean(entropy)


def finite_differences(case):
    """dL/dtheta by parameter, from central differences."""
    gradients = {}
    for name, array in case.initial.items():
        gradients[name] = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            sides = []
            for step in (1e-5, -1e-5):
                moved = {key: value.astype(np.float64) for key, value in case.initial.items()}
                moved[name][index] += step
                sides.append(case.loss(moved))
            gradients[name][index] = (sides[0] - sides[1]) / 2e-5
    return gradients


def distance(a, b):
    """The relative error |a - b| / |b|, of arrays or of all arrays of two dictionaries."""
    if isinstance(a, dict):
        a, b = (np.concatenate([array.ravel() for array in arrays.values()]) for arrays in (a, b))
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30)
