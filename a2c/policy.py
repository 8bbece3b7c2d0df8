"""Policy: what is deployed. NumPy only: no trainer, no environment, no Paddle."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2c import files
from a2c.errors import UserError, shown
from a2c.finite import finite
from a2c.model.architecture import Architecture, Network, Parameters, architecture_for
from a2c.model.blocks import forward
from a2c.model.factors import Actions
from a2c.model.inputs import inputs_of
from a2c.moments import Moments
from a2c.randomness import generator

FORMAT = 1
"""Version of the format; a reader refuses any other."""

POLICY_FILES = _ARRAYS, _DESCRIPTION = "policy.safetensors", "policy.json"
"""What `Policy.to_files` gives, in the order in which it is written."""
_NORMALIZER = "normalizer."


class Policy:
    """Maps observations to actions of the environment.

    Example:
        >>> import a2c
        >>> policy = a2c.load("runs/CartPole-v1/20261122-120000-seed0")  # doctest: +SKIP
        >>> policy.act([0.0, 0.1, -0.02, 0.0])  # doctest: +SKIP
        1
    """

    def __init__(
        self,
        env_id: str,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        architecture: Architecture,
        parameters: Parameters,
        moments: Moments | None,
    ) -> None:
        """A policy from its parts; `load` reads one from a run.

        Args:
            env_id: The environment it was trained on.
            observation_space: What `act` takes.
            action_space: What `act` gives.
            architecture: Sizes of the networks.
            parameters: Their arrays, `critic.*` included.
            moments: What real numbers of observations are normalised with; None: they are taken as they are.
        """
        self.env_id = env_id
        self.observation_space = observation_space
        self.action_space = action_space
        self.architecture = architecture
        self.parameters = parameters
        self._actions = Actions(action_space)
        self._moments = moments
        self._rng = generator(0, "policy")

    def act(self, obs: ArrayLike, greedy: bool = True) -> Any:
        """The action for one observation, or the actions for a batch of them.

        Args:
            obs: [*shape] or [B, *shape], as the environment gives it (normalisation is done here).
            greedy: The most probable action; False samples one.

        Returns:
            What the environment's `step` takes: for one observation an int or an array of the space's shape, for a
            batch an array of them.

        Raises:
            UserError: The observation does not have the environment's shape, or holds what is no finite number.
        """
        try:
            array = np.asarray(obs)
        except Exception as error:  # Whatever the conversion of a foreign array raises.
            raise UserError(f"obs is {shown(obs)}, which is no array; it must be numbers") from error
        if array.dtype.kind not in "biuf" or (isinstance(obs, np.ma.MaskedArray) and np.ma.getmaskarray(obs).any()):
            raise UserError(f"obs is {shown(obs)}; it must be numbers")
        shape = self.observation_space.shape or ()
        leading = array.ndim - len(shape)
        if leading not in (0, 1) or array.shape[leading:] != shape:
            raise UserError(f"obs has shape {array.shape}; it must be {shape}, or a batch of those")
        is_finite = finite(array)
        if not is_finite.all():
            raise UserError(f"obs holds {array[~is_finite][0]}; every number must be finite in float32")
        single = leading == 0
        batch = array[None] if single else array
        noise = None if greedy else self.draw_noise(self._rng, len(batch))
        action = self.act_batch(batch, noise)
        if not single:
            return action
        return int(action[0]) if isinstance(self.action_space, gymnasium.spaces.Discrete) else action[0]

    def act_batch(
        self, obs: NDArray[Any], noise: NDArray[np.float32] | None, mask: NDArray[np.uint8] | None = None
    ) -> NDArray[Any]:
        """Actions for a batch, a pure function of its arguments.

        Args:
            obs: [B] rows of observations.
            noise: [B, C]; None: the most probable actions.
            mask: [B, K] 1 for what is allowed; None: everything is.

        Returns:
            [B] rows of actions.
        """
        if mask is not None and not mask.shape[1]:
            mask = None
        with np.errstate(over="ignore", invalid="ignore"):  # Of parameters that are finite, but hardly.
            outputs = self._network("actor", obs)
            if noise is None:
                action = self._actions.mode(outputs, mask)
            else:
                log_std = self.parameters.get("log_std", np.zeros(0, np.float32))
                action = self._actions.sample(outputs, log_std, noise, mask)
            return self._actions.to_rows(action)

    def value(self, obs: NDArray[Any]) -> NDArray[np.float32]:
        """The critic's V(s) of a batch [B] of rows -> [B]."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._network("critic", obs)[:, 0]

    def _network(self, network: Network, obs: NDArray[Any]) -> NDArray[np.float32]:
        inputs = inputs_of(self.architecture, obs, self._moments)
        outputs: NDArray[np.float32] = forward(np, self.architecture, network, self.parameters, inputs)
        return outputs

    def draw_noise(self, rng: np.random.Generator, batch: int) -> NDArray[np.float32]:
        """Noise for `act_batch` of a batch of this size."""
        return self._actions.draw_noise(rng, batch)

    def check_spaces(self, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]) -> None:
        """Refuses an environment in whose spaces the policy cannot act as it was trained.

        Types may differ, and the bounds of observations, which some environments draw at random: that is a warning.

        Raises:
            UserError: Naming both.
        """
        is_box = isinstance(observation_space, gymnasium.spaces.Box)
        fits = (
            is_box and self.observation_space.shape == observation_space.shape,
            _same(self.action_space, action_space),
        )
        pairs = (self.observation_space, observation_space), (self.action_space, action_space)
        for fit, (ours, theirs) in zip(fits, pairs, strict=True):
            if not fit:
                raise UserError(
                    f"the policy was trained on {ours}, this environment has {theirs}; they must be the same"
                )
        if not _same(self.observation_space, observation_space):
            warnings.warn(
                "the bounds of this environment's observations are not those that the policy was trained with",
                stacklevel=2,
            )

    def to_files(self, **notes: Any) -> dict[str, bytes]:
        """The policy as files, by name: arrays, and the description that makes them one, with the notes in it."""
        arrays: files.Arrays = dict(self.parameters)
        statistics = {} if self._moments is None else self._moments.state()
        arrays |= {f"{_NORMALIZER}{name}": array for name, array in statistics.items()}
        arrays |= _space_arrays("observation", self.observation_space) | _space_arrays("action", self.action_space)
        description = {
            "format": FORMAT,
            "env_id": self.env_id,
            "hidden_sizes": list(self.architecture.hidden_sizes),
            "activation": self.architecture.activation,
            **notes,
        }
        return {_ARRAYS: files.arrays_to_bytes(arrays), _DESCRIPTION: files.json_to_bytes(description)}

    @classmethod
    def load(cls, folder: Path, newer: files.Arrays | None = None) -> Policy:
        """Reads a policy from a folder with the files of `to_files`. Arrays and JSON only: nothing in it can run.

        Args:
            folder: Where it lies.
            newer: Parameters and statistics to take instead of those in the folder, as a checkpoint has them.

        Raises:
            UserError: Naming the file and its fault, if it is missing, damaged or not a policy of this format.
        """
        description = files.read_json(folder / _DESCRIPTION)
        arrays = files.read_arrays(folder / _ARRAYS) | (newer or {})
        if description.get("format") != FORMAT:
            raise UserError(
                f"{folder / _DESCRIPTION} has format {shown(description.get('format'))}; this version reads {FORMAT}"
            )
        match description:
            case {"env_id": str(env_id), "hidden_sizes": list(sizes), "activation": "relu" | "tanh" as activation} if (
                all(isinstance(size, int) and size > 0 for size in sizes)
            ):
                pass
            case _:
                raise UserError(f"{folder / _DESCRIPTION} lacks a valid env_id, hidden_sizes or activation")
        try:
            observation_space = _space(arrays, "observation")
            action_space = _space(arrays, "action")
            statistics = {
                name.removeprefix(_NORMALIZER): array for name, array in arrays.items() if name.startswith(_NORMALIZER)
            }
            architecture = architecture_for(
                observation_space, action_space, tuple(sizes), activation, normalizes=bool(statistics)
            )
            parameters = {name: arrays[name] for name in architecture.shapes()}
            for name, expected in architecture.shapes().items():
                if arrays[name].shape != expected or arrays[name].dtype != np.float32:
                    raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}, not float32 {expected}")
                if not np.isfinite(arrays[name]).all():
                    raise ValueError(f"{name} holds numbers that are not finite")
            moments = Moments.of(architecture.num_real) if statistics else None
            if moments is not None:
                moments.restore(statistics)
        except KeyError as error:
            raise UserError(f"{folder / _ARRAYS} lacks the array {error}") from error
        except (ValueError, TypeError, AssertionError) as error:
            raise UserError(f"{folder / _ARRAYS} does not fit its description: {error}") from error
        return cls(env_id, observation_space, action_space, architecture, parameters, moments)


def _same(ours: Any, theirs: Any) -> bool:
    """Whether two spaces hold the same numbers, in whatever type."""
    match ours, theirs:
        case gymnasium.spaces.Discrete(), gymnasium.spaces.Discrete():
            return bool(ours.n == theirs.n and ours.start == theirs.start)
        case gymnasium.spaces.Box(), gymnasium.spaces.Box():
            if ours.shape != theirs.shape:
                return False
            # In the coarser of both types: 0.1 is another number in each.
            dtype = min(ours.dtype, theirs.dtype, key=lambda dtype: dtype.itemsize)
            bounds = ((ours.low, theirs.low), (ours.high, theirs.high))
            return all(np.array_equal(a.astype(dtype), b.astype(dtype)) for a, b in bounds)
        case _:
            return False


def _space_arrays(name: str, space: gymnasium.Space[Any]) -> files.Arrays:
    match space:
        case gymnasium.spaces.Discrete():
            return {f"{name}.n_and_start": np.array([space.n, space.start], np.int64)}
        case gymnasium.spaces.Box():
            return {f"{name}.low": space.low, f"{name}.high": space.high}
        case _:
            raise TypeError(f"no arrays for {space}")


def _space(arrays: files.Arrays, name: str) -> Any:
    if f"{name}.n_and_start" in arrays:
        numbers = arrays[f"{name}.n_and_start"]
        if numbers.dtype != np.int64 or numbers.shape != (2,):
            raise ValueError(f"{name}.n_and_start is {numbers.dtype} {numbers.shape}; it must be two of int64")
        n, start = numbers.tolist()
        if n < 1 or start + n > 2**63:
            raise ValueError(f"{name}.n_and_start is {n}, {start}; there must be actions, and numbers for them")
        return gymnasium.spaces.Discrete(n, start=start)
    low, high = arrays[f"{name}.low"], arrays[f"{name}.high"]
    if low.dtype != high.dtype or low.shape != high.shape or not (low <= high).all():
        raise ValueError(f"{name}.low and {name}.high are not the limits of a space")
    return gymnasium.spaces.Box(low, high, low.shape, low.dtype.type)
