"""The compiled engine: fused kernels for MLPs on the CPU. What acting computes is kept for the update."""

from __future__ import annotations

import math
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.config import Config
from a2c.distributions import Categorical, Distribution
from a2c.engines import Arrays, Metrics
from a2c.kernels.compiler import compiled, inlined, prepare
from a2c.kernels.heads import sample_categorical, sample_gaussian
from a2c.kernels.mlp import OUT, X_ROW, Y_ROW, Network, Y, forward, network_for, pack, transpose, unpack
from a2c.kernels.optimizer import Optimizer
from a2c.kernels.simd import Floats
from a2c.kernels.threads import dismiss
from a2c.kernels.update import GRAD_NORM, Batch, Loss, Work, divide, gradient_step, work_for
from a2c.mlp import Architecture, Parameters
from a2c.rollout import Rollout


class CompiledEngine:
    """An Engine of compiled kernels, for MLPs on the CPU."""

    def __init__(
        self,
        config: Config,
        architecture: Architecture,
        distribution: Distribution,
        parameters: Parameters,
        threads: int,
    ) -> None:
        """Lays out network and optimizer.

        Args:
            config: Loss weights, optimizer, sizes of a rollout.
            architecture: Sizes of the networks.
            distribution: Of the actions.
            parameters: Where the networks start.
            threads: At most so many compute an update; results do not depend on it.
        """
        self._architecture = architecture
        chunks, room = divide(config.num_envs, config.rollout_length)
        rows = config.steps_per_update
        # The last inputs are for successors.
        self.network = network_for(architecture, rows + config.num_envs, (len(chunks) - 1) * room)
        self.loss = Loss(
            isinstance(distribution, Categorical),
            config.value_coef,
            config.entropy_coef,
            math.inf if config.max_grad_norm is None else config.max_grad_norm,
        )
        self.optimizer = _optimizer(config, len(self.network.theta))
        self._pool, others = _threads(min(threads, len(chunks) - 1) - 1)
        self.work = work_for(self.network, config.num_envs, config.rollout_length, 1 + others)
        self._rows, self._num_envs = rows, config.num_envs
        self._length = config.rollout_length
        self._set_parameters(parameters)

    def act(
        self, obs: NDArray[np.float32], noise: NDArray[np.float32], slot: int
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Actions and values; inputs, and outputs where they are few, are kept for `update`."""
        self._require(obs.shape[:1] == noise.shape[:1] == (self._num_envs,), "obs and noise", obs, noise)
        value = np.empty(self._num_envs, np.float32)
        flat_obs = obs.reshape(self._num_envs, -1)
        if self.loss.is_categorical:
            choice = np.empty(self._num_envs, np.int64)
            _act_discrete(self.network, self.work, self._length, slot, flat_obs, noise, choice, value)
            return choice, value
        action = np.empty(noise.shape, np.float32)
        _act_continuous(self.network, self.work, self._length, slot, flat_obs, noise, action, value)
        return action, value

    def value(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The critic."""
        value = np.empty(len(obs), np.float32)
        _value(self.network, self._rows, self._num_envs, obs.reshape(len(obs), -1), value)
        return value

    def update(
        self, rollout: Rollout, advantage: NDArray[np.float32], returns: NDArray[np.float32], learning_rate: float
    ) -> Metrics:
        """One step down the gradient of the loss that `Engine` and the design give, for the rollout last acted.

        Raises:
            ValueError: An array has another shape than the rollouts that the engine is for.
            FloatingPointError: The gradient is not finite; parameters and optimizer stay as they were.
        """
        shape = (self._length, self._num_envs)
        arrays = (rollout.action, rollout.value, advantage, returns)
        self._require(
            all(array.shape[:2] == shape for array in arrays), "action, value, advantage and returns", *arrays
        )
        batch = self._batch(rollout.action, advantage, returns)
        metrics = np.zeros(len(Metrics._fields))
        arguments = (self.network, self.loss, self.optimizer, batch, self.work, learning_rate, metrics)
        if not self.run(gradient_step, arguments):
            raise FloatingPointError(f"the norm of the gradient is {metrics[GRAD_NORM]}")
        return Metrics(*metrics.tolist())

    def prepare(self) -> None:
        """Compiles what stepping through updates needs, or loads it from disk, so that the first one costs no more."""
        shape = (self._length, self._num_envs)
        obs = np.zeros((self._num_envs, self._architecture.obs_size), np.float32)
        noise = np.zeros(self._num_envs if self.loss.is_categorical else (self._num_envs, self._architecture.head_size))
        action, _ = self.act(obs, noise.astype(np.float32), 0)
        self.value(obs)
        zeros = np.zeros(shape, np.float32)
        batch = self._batch(np.zeros((self._length, *action.shape), action.dtype), zeros, zeros)
        prepare(gradient_step, 0, self.network, self.loss, self.optimizer, batch, self.work, 0.0, np.zeros(6))

    def run(self, kernel: Any, arguments: tuple[Any, ...]) -> Any:
        """Runs a kernel whose first argument is the thread's number on every thread; returns what it returned here."""
        try:
            others = [self._pool.submit(kernel, thread, *arguments) for thread in range(1, self.work.threads)]
            result = kernel(0, *arguments)
        except BaseException:  # A second Ctrl-C, say, before this thread came to its part.
            dismiss(self.work.arrivals)
            raise
        for other in others:
            other.result()
        return result

    def parameters(self) -> Parameters:
        """Copies of the networks' parameters."""
        return unpack(self.network, self.network.theta, self._architecture)

    def state(self) -> Arrays:
        """Parameters, the optimizer's arrays as `optimizer.<array>.<parameter>`, and its number of updates."""
        arrays: Arrays = dict(self.parameters())
        for kind, flat in self._moments().items():
            for name, array in unpack(self.network, flat, self._architecture).items():
                arrays[f"optimizer.{kind}.{name}"] = array
        arrays["optimizer.updates"] = self.optimizer.updates.copy()
        return arrays

    def restore(self, state: Arrays) -> None:
        """Continues from a `state()`.

        Raises:
            KeyError: The state lacks an array.
        """
        for kind, flat in self._moments().items():
            moments = {name: state[f"optimizer.{kind}.{name}"] for name in self._architecture.shapes()}
            pack(self.network, flat, self._architecture, moments)
        self.optimizer.updates[...] = state["optimizer.updates"]
        self._set_parameters(state)

    def _require(self, holds: bool, names: str, *arrays: NDArray[Any]) -> None:
        """Machine code does not look where it reads and writes.

        Raises:
            ValueError: It does not hold.
        """
        if not holds:
            shapes = [array.shape for array in arrays]
            raise ValueError(f"{names} differ in shape: {shapes} in rollouts of {self._length} x {self._num_envs}")

    def _batch(self, action: NDArray[Any], advantage: NDArray[np.float32], returns: NDArray[np.float32]) -> Batch:
        if self.loss.is_categorical:
            return Batch(action, np.empty((0, 0, 0), np.float32), advantage, returns)
        return Batch(np.empty((0, 0), np.int64), action, advantage, returns)

    def _moments(self) -> dict[str, Floats]:
        if self.optimizer.is_adam:
            return {"moment1": self.optimizer.first, "moment2": self.optimizer.second}
        return {"mean_square": self.optimizer.second}

    def _set_parameters(self, parameters: Arrays) -> None:
        pack(self.network, self.network.theta, self._architecture, parameters)
        transpose(self.network, 0, len(self.network.layers))


def _threads(wanted: int) -> tuple[ThreadPoolExecutor, int]:
    """Threads beside the one that asks, and how many: all start here, as a kernel waits for every one of them."""
    pool = ThreadPoolExecutor(max(1, wanted))
    go, given = threading.Event(), 0
    try:
        for given in range(wanted):  # noqa: B007 - of use where the next one is refused
            pool.submit(go.wait)
    except RuntimeError as error:  # The pool would ask for the one that is missing again at any time.
        go.set()
        pool.shutdown()
        warnings.warn(
            f"of {wanted + 1} threads of the compiled engine, this machine gives {given + 1} ({error}); results do not "
            "depend on it, and num_threads asks for fewer",
            stacklevel=2,
        )
        return _threads(given)
    finally:
        go.set()
    return pool, wanted


def _optimizer(config: Config, size: int) -> Optimizer:
    first, second, updates = np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(1, np.int64)
    match config.optimizer:
        case "adam":
            betas = config.adam_beta1, config.adam_beta2
            return Optimizer(True, *betas, config.adam_epsilon, first, second, updates)
        case "rmsprop":
            return Optimizer(False, 0.0, config.rmsprop_decay, config.rmsprop_epsilon, first, second, updates)


@compiled
def _take_in(network: Network, obs: NDArray[np.float32], first: int, row: int, rows: int) -> None:
    """Copies obs[first:first+rows] to the network's input from `row` on."""
    x_row = network.layers[0, X_ROW]
    for i in range(rows):
        for j in range(obs.shape[1]):
            network.activations[(row + i) * x_row + j] = obs[first + i, j]


@inlined
def _rows(network: Network, work: Work, length: int, slot: int, chunk: int) -> tuple[int, int, int, int]:
    """Of a chunk at time `slot`: its first environment, how many it has, its first rows of inputs and of outputs."""
    start = work.chunks[chunk]
    count = work.chunks[chunk + 1] - start
    inputs = length * start + slot * count
    return start, count, inputs, inputs if network.keeps else chunk * work.room


@compiled
def _forward_slot(
    network: Network, work: Work, length: int, slot: int, obs: NDArray[np.float32], value: Floats
) -> None:
    """Actor and critic on the observations [N, D] of time `slot`, each chunk's in its own rows; value [N]."""
    critic = network.layers[-1]
    zero: Any = np.int64(0)  # not a literal, for which Numba would compile what is called anew
    for chunk in range(len(work.chunks) - 1):
        start, count, inputs, row = _rows(network, work, length, slot, chunk)
        _take_in(network, obs, start, inputs, count)
        forward(network, zero, network.actor_layers, inputs, row, count)
        forward(network, network.actor_layers, len(network.layers), inputs, row, count)
        for i in range(count):
            value[start + i] = network.activations[critic[Y] + (row + i) * critic[Y_ROW]]


@compiled
def _act_discrete(
    network: Network,
    work: Work,
    length: int,
    slot: int,
    obs: NDArray[np.float32],
    noise: NDArray[np.float32],
    choice: NDArray[np.int64],
    value: Floats,
) -> None:
    """Chooses one of n actions for each row of obs [N, D], from uniforms [N]."""
    _forward_slot(network, work, length, slot, obs, value)
    head = network.layers[network.actor_layers - 1]
    for chunk in range(len(work.chunks) - 1):
        start, count, _, row = _rows(network, work, length, slot, chunk)
        for i in range(count):
            logits = head[Y] + (row + i) * head[Y_ROW]
            choice[start + i] = sample_categorical(network.activations, logits, head[OUT], noise[start + i])


@compiled
def _act_continuous(
    network: Network,
    work: Work,
    length: int,
    slot: int,
    obs: NDArray[np.float32],
    noise: NDArray[np.float32],
    action: NDArray[np.float32],
    value: Floats,
) -> None:
    """Draws actions [N, A] for the rows of obs [N, D], from normals [N, A]."""
    _forward_slot(network, work, length, slot, obs, value)
    head = network.layers[network.actor_layers - 1]
    size = head[OUT]
    for chunk in range(len(work.chunks) - 1):
        start, count, _, row = _rows(network, work, length, slot, chunk)
        for i in range(count):
            mean, n = head[Y] + (row + i) * head[Y_ROW], (start + i) * size
            sample_gaussian(
                network.activations, mean, network.theta, network.log_std, size,
                noise.reshape(-1), n, action.reshape(-1), n,
            )  # fmt: skip


@compiled
def _value(network: Network, inputs: int, rows: int, obs: NDArray[np.float32], value: Floats) -> None:
    """The critic on obs [B, D], in the inputs from `inputs` on, so many rows at a time; value [B]."""
    critic = network.layers[-1]
    row = inputs if network.keeps else 0
    for first in range(0, len(obs), rows):
        count = min(rows, len(obs) - first)
        _take_in(network, obs, first, inputs, count)
        forward(network, network.actor_layers, len(network.layers), inputs, row, count)
        for i in range(count):
            value[first + i] = network.activations[critic[Y] + (row + i) * critic[Y_ROW]]
