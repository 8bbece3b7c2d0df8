"""Policy: maps observations to actions, for deployment. Needs NumPy only, and Paddle only for a user's own layer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c import files, notebook
from a2c.errors import UserError, shown
from a2c.finite import finite
from a2c.machine import one_blas_thread
from a2c.masks import KEY, MaskReader, mask_size
from a2c.model import MOST_REMEMBERED, NETWORKS, Network
from a2c.model.architecture import Architecture, Parameters, architecture_for, name_in
from a2c.model.blocks import features_of, forward, given, joined, remember
from a2c.model.factors import Actions
from a2c.model.images import RIGHT_NETWORK, image_network
from a2c.model.inputs import inputs_of
from a2c.model.own import is_own
from a2c.moments import Moments
from a2c.randomness import generator
from a2c.space_files import describe, from_description, to_arrays
from a2c.spaces import batch_of, batch_size, batched, rows_of, same, value_of

if TYPE_CHECKING:
    from a2c.model.own_layers import OwnNetworks

FORMAT = 2
"""Version of the format. Version 1, for Box and Discrete spaces only, is read too; any other is an error."""

POLICY_FILES = _ARRAYS, _DESCRIPTION = "policy.safetensors", "policy.json"
"""The names of `Policy.to_files`, in the order in which the files are written."""
_NORMALIZER = "normalizer."


class Policy:
    """Maps observations to actions of the environment.

    Attributes:
        own: The user's own layers, which replace hidden layers; None: the policy has none.

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
        """Makes a policy from its parts; `load` reads one from a folder.

        Args:
            env_id: The environment it was trained on.
            observation_space: Space of the observations that `act` takes.
            action_space: Space of the actions that `act` returns.
            architecture: Sizes of the networks.
            parameters: Their arrays, `critic.*` included.
            moments: Statistics that normalise the real numbers of observations; None: these are not normalised.
        """
        self.env_id = env_id
        self.observation_space = observation_space
        self.action_space = action_space
        self.architecture = architecture
        self.parameters = parameters
        self._actions = Actions(action_space)
        self.moments = moments
        self._weights = max(array.size for array in parameters.values())  # In the largest layer.
        self.own = _own_networks(architecture, parameters)
        self._rng = generator(0, "policy")
        self._carry: NDArray[np.float32] | None = None

    def start(self) -> None:
        """Clears the policy's memory. Call it at the start of each episode if the policy has memory."""
        self._carry = None

    def begin(self, n: int) -> NDArray[np.float32]:
        """The memory at the start of n episodes: [n, H] zeros; H = 0 if the policy has no memory."""
        return np.zeros((n, self.architecture.memory_size), np.float32)

    def act(self, obs: Any, greedy: bool = True, action_mask: Any = None, carry: Any = None) -> Any:
        """The action for one observation, or the actions for a batch of them.

        A policy with memory remembers its earlier calls; `start` clears this memory. To hold the memory yourself, pass
        it as `carry`: `act` then returns the action and the next memory.

        Args:
            obs: As the environment gives it (it is normalised here), or a batch in Gymnasium's batched form:
                [B, *shape], a dict of such arrays, or a tuple of them.
            greedy: The most probable action; False samples one.
            action_mask: The allowed actions, as in `info["action_mask"]`; for a batch, a list of masks. None: the mask
                in obs["action_mask"] if it has one, otherwise everything is allowed.
            carry: [B, H] the memory, from `begin(B)` or the previous call; None: this policy's own memory.

        Returns:
            The action that the environment's `step` takes: for one observation an int, an array, a dict or a tuple;
            for a batch, actions in Gymnasium's batched form. With `carry`, a pair: that and the next carry.

        Raises:
            UserError: The observation does not fit the environment or is not finite, the mask allows nothing, or the
                memory belongs to another number of episodes.
        """
        rows, is_single = self._rows(obs)
        action, remembered = self._act(obs, rows, is_single, greedy, action_mask, self._remembered(carry, len(rows)))
        if carry is not None:
            return action, remembered
        self._carry = remembered
        return action

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, NDArray[np.float32] | None]:
        """Actions through the interface of Stable-Baselines3, for tools such as its `evaluate_policy`.

        Args:
            observation: As in `act`.
            state: [B, H] the memory, from the previous call; None: episodes begin.
            episode_start: [B] whether an episode begins, so that its memory is cleared; None: none begins.
            deterministic: The most probable action; False samples one.

        Returns:
            What `act` returns, and the next memory; None if the policy has no memory.

        Raises:
            UserError: As in `act`; or `episode_start` has not one entry for each observation.
        """
        rows, is_single = self._rows(observation)
        remembers = self.architecture.memory_size > 0
        carry = self.begin(len(rows)) if state is None or not remembers else self._remembered(state, len(rows))
        if episode_start is not None:
            starts = np.atleast_1d(np.asarray(episode_start))
            if starts.shape != (len(rows),) or starts.dtype.kind not in "biu":
                raise UserError(
                    f"episode_start is {shown(episode_start)}; it must be True or False for each of the "
                    f"{len(rows)} observations"
                )
            carry[starts.astype(np.bool_)] = 0
        action, carry = self._act(observation, rows, is_single, deterministic, None, carry)
        return action, carry if remembers else None

    def _act(
        self, obs: Any, rows: NDArray[Any], is_single: bool, greedy: bool, action_mask: Any, carry: NDArray[np.float32]
    ) -> tuple[Any, NDArray[np.float32]]:
        """The actions for observations and their rows [B], and the next carry."""
        if action_mask is None and isinstance(obs, Mapping) and mask_size(self.action_space):
            action_mask = obs.get(KEY)  # Even if the mask is all that is observed.
        mask = None if action_mask is None else self._mask([action_mask] if is_single else action_mask, len(rows))
        noise = None if greedy else self.draw_noise(self._rng, len(rows))
        actions, carry = self.act_batch(rows, noise, mask, carry)
        if not is_single:
            return batched(self.action_space, actions), carry
        if isinstance(self.action_space, gymnasium.spaces.Discrete):
            return int(actions[0]), carry
        return value_of(self.action_space)(actions[0]), carry

    def _remembered(self, carry: Any, n: int) -> NDArray[np.float32]:
        """The memory of n episodes: the given one, otherwise this policy's own."""
        if carry is not None:
            shape = n, self.architecture.memory_size
            try:
                given = np.asarray(carry)
            except Exception as error:  # A foreign array may raise anything when it is converted.
                raise UserError(
                    f"carry is {shown(carry)}, which is not an array; it must be from begin({n})"
                ) from error
            if given.shape == shape and not (given.dtype.kind == "f" and (np.abs(given) <= 1).all()):
                raise UserError(f"carry is {shown(carry)}; it must be numbers from -1 to 1, as begin and act give them")
            if given.shape != shape:
                raise UserError(f"carry has shape {given.shape}; it must have {shape}, as from begin({n})")
            return given.astype(np.float32)
        if self._carry is None or not self.architecture.memory_size:
            return self.begin(n)
        if len(self._carry) != n:
            raise UserError(
                f"got {n} observations, and the policy's memory is of {len(self._carry)}; call start() when "
                "episodes begin"
            )
        return self._carry

    def _rows(self, obs: Any) -> tuple[NDArray[Any], bool]:
        """Observations as rows [B], and whether `obs` is a single one, not a batch."""
        if isinstance(self.observation_space, gymnasium.spaces.Box):
            rows, is_single = self._box_rows(obs)
        else:
            n = batch_size(self.observation_space, obs)
            is_single = n is None
            try:
                if n is None:
                    rows = rows_of(self.observation_space, obs)[None]
                else:
                    rows = batch_of(self.observation_space, obs, n)
            except ValueError as error:
                raise UserError(str(error)) from error
        if not finite(rows).all():
            fields = [rows] if rows.dtype.names is None else [rows[name] for name in rows.dtype.names]
            bad = next(field[~finite(field)][0] for field in fields if not finite(field).all())
            raise UserError(f"obs holds {bad}; every number must be finite in float32")
        return rows, is_single

    def _box_rows(self, obs: Any) -> tuple[NDArray[Any], bool]:
        try:
            array = np.asarray(obs)
        except Exception as error:  # A foreign array may raise anything when it is converted.
            raise UserError(f"obs is {shown(obs)}, which is not an array; it must be numbers") from error
        if array.dtype.kind not in "biuf" or (isinstance(obs, np.ma.MaskedArray) and np.ma.getmaskarray(obs).any()):
            raise UserError(f"obs is {shown(obs)}; it must be numbers")
        shape = self.observation_space.shape or ()
        leading = array.ndim - len(shape)
        if leading not in (0, 1) or array.shape[leading:] != shape:
            raise UserError(f"obs has shape {array.shape}; it must be {shape}, or a batch of those")
        return (array[None], True) if leading == 0 else (array, False)

    def _mask(self, masks: Any, n: int) -> NDArray[np.uint8]:
        """Masks for a batch of N, as rows [N, K]."""
        if not mask_size(self.action_space):
            raise UserError(f"got an action_mask; actions of {self.action_space} cannot be masked")
        read = MaskReader(self.action_space)
        try:
            rows = [read(mask) for mask in _one_by_one(self.action_space, masks, n)]
        except ValueError as error:
            raise UserError(f"got an {error}") from error
        return np.array(rows, np.uint8).reshape(n, mask_size(self.action_space))

    def act_batch(
        self,
        obs: NDArray[Any],
        noise: NDArray[np.float32] | None,
        mask: NDArray[np.uint8] | None = None,
        carry: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Actions for a batch, and the next memory: a pure function of its arguments.

        Args:
            obs: [B] rows of observations.
            noise: [B, C] random numbers to sample with; None: the most probable actions.
            mask: [B, K] 1 for what is allowed; None: everything is.
            carry: [B, H] the memory; None: episodes begin.

        Returns:
            [B] rows of actions, and the next carry [B, H]; set its rows to 0 for episodes that ended.
        """
        if mask is not None and not mask.shape[1]:
            mask = None
        with np.errstate(over="ignore", invalid="ignore"):  # Parameters may be huge, though finite.
            outputs, carry = self._network("actor", obs, carry)
            if noise is None:
                action = self._actions.mode(outputs, mask)
            else:
                log_std = self.parameters.get("log_std", np.zeros(0, np.float32))
                action = self._actions.sample(outputs, log_std, noise, mask)
            return self._actions.to_rows(action), carry

    def value(self, obs: NDArray[Any], carry: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """The critic's values V(s) [B] for rows of observations [B]; carry as in `act_batch`."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._network("critic", obs, carry)[0][:, 0]

    def _network(
        self, network: Network, obs: NDArray[Any], carry: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The outputs of actor or critic for a batch, and the next memory."""
        inputs, pixels = inputs_of(self.architecture, obs, self.moments)
        carry = self.begin(len(obs)) if carry is None else carry
        with one_blas_thread(len(obs), self._weights):
            features = self._features(network, pixels)
            if self.architecture.memory_size:
                seen = features if self.architecture.share_torso else self._features("actor", pixels)
                carry = remember(np, self.architecture, self.parameters, inputs, seen, carry)
                features = joined(np, features, carry)
            if self.own is not None:
                shown = given(np, self.architecture, inputs, features, pixels)
                features = self.own.features_of_arrays(network, shown)
            outputs: NDArray[np.float32] = forward(np, self.architecture, network, self.parameters, inputs, features)
        return outputs, carry

    def _features(self, network: Network, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The features of images [B, P] for a network; None if there are no images, or it sees these themselves."""
        if not self.architecture.num_image_features:
            return None
        features: NDArray[np.float32] = features_of(np, self.architecture, network, self.parameters, pixels)
        return features

    def draw_noise(self, rng: np.random.Generator, batch: int) -> NDArray[np.float32]:
        """Noise [batch, C] for `act_batch`."""
        return self._actions.draw_noise(rng, batch)

    def check_spaces(self, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]) -> None:
        """Checks that the policy fits an environment's spaces.

        Types may differ. So may the bounds of observations, which some environments draw at random: that is a warning.

        Raises:
            UserError: A space differs; the message names both.
        """
        pairs = (self.observation_space, observation_space), (self.action_space, action_space)
        for (ours, theirs), bounds in zip(pairs, (False, True), strict=True):
            if not same(ours, theirs, bounds):
                raise UserError(
                    f"the policy was trained on {ours}, this environment has {theirs}; they must be the same"
                )
        if not same(self.observation_space, observation_space):
            warnings.warn(
                "the bounds of this environment's observations are not those that the policy was trained with",
                stacklevel=2,
            )

    def _repr_html_(self) -> str:
        """The policy as a notebook shows it: observations, actions, size."""
        architecture = self.architecture
        units = " x ".join(map(str, architecture.hidden_sizes)) or "none"
        behind = "convolutions" if architecture.share_torso else "convolutions of their own"
        layers = f"{units}, {architecture.activation}" + (f", behind {behind}" if architecture.images else "")
        if architecture.own is not None:
            layers = f"those of {architecture.own.name}, which gives {architecture.own.features} features"
        rows = {
            "observations": str(self.observation_space),
            "actions": str(self.action_space),
            "hidden units": layers
            + (f", with memory of {architecture.memory_size}" if architecture.memory_size else ""),
            "parameters": f"{sum(array.size for array in self.parameters.values()):,}",
        }
        return notebook.table(f"A policy for {self.env_id}", rows)

    def trial(self) -> dict[str, NDArray[np.float32]]:
        """Outputs of the user's own layers for made-up inputs, to save beside their parameters; empty without any."""
        return {} if self.own is None else self.own.trial()

    def check_trial(self, before: Mapping[str, NDArray[Any]]) -> None:
        """Checks that the user's own layers still compute what they did when these arrays were saved.

        Raises:
            KeyError: The arrays have no saved outputs.
            ValueError: The outputs differ from the saved ones: the code has changed.
        """
        if self.own is not None:
            self.own.check_trial(before)

    def to_files(self, **notes: Any) -> dict[str, bytes]:
        """The contents of the policy's files, by name: its arrays and its description, which includes the notes."""
        arrays: files.Arrays = dict(self.parameters)
        statistics = {} if self.moments is None else self.moments.state()
        arrays |= {f"{_NORMALIZER}{name}": array for name, array in statistics.items()} | self.trial()
        arrays |= to_arrays(self.observation_space, "observation") | to_arrays(self.action_space, "action")
        description = {
            "format": FORMAT,
            "env_id": self.env_id,
            "hidden_sizes": list(self.architecture.hidden_sizes),
            "activation": self.architecture.activation,
            "network": self.architecture.network,
            "memory_size": self.architecture.memory_size,
            "share_torso": self.architecture.share_torso,
            "observation_space": describe(self.observation_space),
            "action_space": describe(self.action_space),
            **notes,
        }
        return {_ARRAYS: files.arrays_to_bytes(arrays), _DESCRIPTION: files.json_to_bytes(description)}

    @classmethod
    def load(cls, folder: Path, newer: files.Arrays | None = None, may_import: str | None = None) -> Policy:
        """Reads a policy from a folder with the files of `to_files`: arrays and JSON, which cannot run code.

        Args:
            folder: The folder.
            newer: Parameters and statistics to take instead of those in the folder, as a checkpoint has them.
            may_import: The user's own layer, `module:Class`, that the policy may import. A folder alone must not choose
                what is imported.

        Raises:
            UserError: A file is missing, damaged or not of this format; the message names it.
        """
        description = files.read_json(folder / _DESCRIPTION)
        arrays = files.read_arrays(folder / _ARRAYS) | (newer or {})
        if description.get("format") == 1:
            description = _in_format_2(description, arrays)
        if description.get("format") != FORMAT:
            raise UserError(
                f"{folder / _DESCRIPTION} has format {shown(description.get('format'))}; this version reads {FORMAT}"
            )
        match description:
            case {"env_id": str(env_id), "hidden_sizes": list(sizes), "activation": "relu" | "tanh" as activation} if (
                all(type(size) is int and size > 0 for size in sizes)
            ):
                pass
            case _:
                raise UserError(f"{folder / _DESCRIPTION} lacks a valid env_id, hidden_sizes or activation")
        network = description.get("network", "mlp")  # 0.4 had no other, and did not write it.
        if not isinstance(network, str) or (network != "mlp" and image_network(network) is None):
            raise UserError(f"{folder / _DESCRIPTION} has network {shown(network)}; it must be {RIGHT_NETWORK}")
        if is_own(network) and network != may_import:
            raise UserError(
                f"{folder / _DESCRIPTION} names a network in a module of its own, {shown(network)[1:-1]}, and it may "
                f"import {may_import or 'nothing'}"
            )
        memory_size = description.get("memory_size", 0)  # Earlier versions had no memory.
        if type(memory_size) is not int or not 0 <= memory_size <= MOST_REMEMBERED or memory_size % 16:
            raise UserError(
                f"{folder / _DESCRIPTION} has memory_size {shown(memory_size)}; it must be a multiple of 16 from 0 to "
                f"{MOST_REMEMBERED:,}"
            )
        share_torso = description.get("share_torso", True)  # In earlier versions, it always was.
        if type(share_torso) is not bool:
            raise UserError(f"{folder / _DESCRIPTION} has share_torso {shown(share_torso)}; it must be true or false")
        if lacking := [name for name in ("observation_space", "action_space") if name not in description]:
            raise UserError(f"{folder / _DESCRIPTION} lacks {' and '.join(lacking)}")
        try:
            observation_space = from_description(description["observation_space"], arrays, "observation")
            action_space = from_description(description["action_space"], arrays, "action")
            statistics = {
                name.removeprefix(_NORMALIZER): array for name, array in arrays.items() if name.startswith(_NORMALIZER)
            }
            architecture = architecture_for(
                observation_space, action_space, tuple(sizes), activation, bool(statistics), network, memory_size,
                share_torso,
            )  # fmt: skip
            parameters = {name: arrays[name] for name in architecture.shapes()}
            for name, expected in architecture.shapes().items():
                if arrays[name].shape != expected or arrays[name].dtype != np.float32:
                    raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}, not float32 {expected}")
                if not np.isfinite(arrays[name]).all():
                    raise ValueError(f"{name} holds numbers that are not finite")
            moments = Moments.of(architecture.num_real) if statistics else None
            if moments is not None:
                moments.restore(statistics)
            policy = cls(env_id, observation_space, action_space, architecture, parameters, moments)
            policy.check_trial(arrays)
        except KeyError as error:
            raise UserError(f"{folder / _ARRAYS} lacks the array {error}") from error
        except (ValueError, TypeError, AssertionError) as error:
            raise UserError(f"{folder / _ARRAYS} does not fit its description: {error}") from error
        return policy


def _own_networks(architecture: Architecture, parameters: Parameters) -> OwnNetworks | None:
    """The user's own layers with these parameters; None: the policy has none."""
    if architecture.own is None:
        return None
    from a2c.model.own_layers import OwnNetworks  # Imported late: it needs Paddle.

    networks = OwnNetworks(architecture.own)
    for network in NETWORKS:
        networks.set(network, {name: parameters[name_in(network, name)] for name, _ in architecture.own.arrays})
    return networks


def _one_by_one(space: gymnasium.Space[Any], masks: Any, n: int) -> list[Any]:
    """A list of n masks, from such a list or from Gymnasium's batched form, in which each part has n rows."""
    is_divided = isinstance(space, gymnasium.spaces.Dict | gymnasium.spaces.Tuple | gymnasium.spaces.MultiDiscrete)
    if isinstance(masks, Mapping) or (isinstance(masks, tuple) and is_divided):
        keys = list(masks) if isinstance(masks, Mapping) else range(len(masks))
        columns = [[None] * n if masks[key] is None else _one_by_one(space, masks[key], n) for key in keys]
        rows = zip(*columns, strict=True)
        return [dict(zip(keys, row, strict=True)) if isinstance(masks, Mapping) else row for row in rows]
    if not hasattr(masks, "__len__") or getattr(masks, "ndim", 1) == 0:
        raise UserError(f"got action_mask {shown(masks)} for {n} observations; it must be a list of masks")
    if len(masks) != n:
        raise UserError(f"got {len(masks)} action masks for {n} observations; there must be one for each")
    return list(masks)


def _in_format_2(description: dict[str, Any], arrays: files.Arrays) -> dict[str, Any]:
    """The description that 0.3 and 0.4 wrote, in today's format.

    Raises:
        UserError: The policy was trained on bytes without scaling, which is not supported any more.
    """
    spaces = {}
    for name in ("observation", "action"):
        if f"{name}.n_and_start" in arrays:
            n, start = (*arrays.pop(f"{name}.n_and_start").ravel().tolist(), 0, 0)[:2]
            spaces[f"{name}_space"] = {"kind": "discrete", "n": n, "start": start, "type": "<i8"}
        elif f"{name}.low" in arrays:
            spaces[f"{name}_space"] = {"kind": "box", "type": arrays[f"{name}.low"].dtype.str}
    low = arrays.get("observation.low")
    is_plain = not description.get("scales_bytes") and not any(name.startswith(_NORMALIZER) for name in arrays)
    if low is not None and low.dtype == np.uint8 and is_plain:
        raise UserError("this policy was trained on bytes that were not scaled, as 0.3 did; train it again")
    return {**description, **spaces, "format": FORMAT}
