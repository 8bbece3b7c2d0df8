"""Initial parameters of a run: drawn from its seed, or read from another run or a file."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from a2c import files
from a2c.config import Config
from a2c.errors import UserError, shown
from a2c.model.architecture import Architecture, Parameters, name_in
from a2c.model.blocks import initial_parameters, numbered
from a2c.moments import Moments

_STATISTICS = "normalizer."
_copies: dict[str, Path] = {}


class Start(NamedTuple):
    """The arrays of a file; `parameters` and `restore_statistics` check them and hand them to a learner."""

    path: Path
    arrays: files.Arrays


def settled(config: Config) -> Config:
    """The same settings with the absolute path of `start_from`, and its SHA-256 as `start_from_sha256`.

    Raises:
        UserError: There is no such file, or its SHA-256 is not `start_from_sha256`.
    """
    if config.start_from is None:
        return config
    folder_or_file = Path(config.start_from).expanduser().absolute()
    config = dataclasses.replace(config, start_from=str(folder_or_file))
    data = _read(config)
    return dataclasses.replace(config, start_from_sha256=hashlib.sha256(data).hexdigest())


def read(config: Config) -> Start | None:
    """Reads the initial parameters of a new run; None if they are drawn from its seed.

    Not needed to resume a run: its checkpoint has the parameters.

    Raises:
        UserError: The file is missing, has changed since the settings were made, or is not a safetensors file.
    """
    if config.start_from is None:
        return None
    path = _path(config.start_from)
    return Start(path, files.arrays_from_bytes(_read(config), path))


def parameters(start: Start, architecture: Architecture) -> Parameters:
    """The initial parameters of these networks. Layers may have a2c's names or those of a `paddle.nn.Sequential`.

    Raises:
        UserError: An array is missing, unknown, of another shape, or not finite; the message names it.
    """
    arrays = numbered(start.arrays, by=1)
    shapes = architecture.shapes()
    sizes = "-".join(map(str, architecture.hidden_sizes)) or "no"
    memory = f"memory_size {architecture.memory_size}, " if architecture.memory_size else ""
    torso = "" if architecture.share_torso else "share_torso False, "
    layers_of = f"hidden_sizes {sizes}" if architecture.own is None else f"network {architecture.own.name}"
    ours = f"{layers_of}, {memory}{torso}{architecture.input_size} inputs, {architecture.num_outputs} outputs"
    layers = {name for name in arrays if name.startswith(("actor.", "critic.", "image.", "memory.", "log_std"))}
    for name in sorted({*shapes} ^ layers):
        what = "has no" if name in shapes else "also has"
        raise UserError(f"start_from is {start.path}, which {what} {shown(name)}; this run's networks have {ours}")
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape:
            raise UserError(
                f"start_from is {start.path}, where {name} has shape {array.shape}; this run's networks have {ours}, "
                f"so it must be {shape}"
            )
        with np.errstate(over="ignore"):  # A float64 too large for float32; reported below.
            values = array.astype(np.float32)
        if array.dtype.kind != "f" or not np.isfinite(values).all():
            raise UserError(f"start_from is {start.path}, where {name} is not all finite real numbers")
    return {name: arrays[name].astype(np.float32) for name in shapes}


def drawn(config: Config, architecture: Architecture) -> Parameters:
    """Initial parameters from the seed: a2c's, and those that the constructor of a user's own layer draws."""
    ours = initial_parameters(architecture, config.initialization, config.initial_log_std, config.seed)
    if architecture.own is None:
        return ours
    from a2c.model.own_layers import initial  # Needs Paddle.

    theirs = initial(architecture.own, config.seed)
    return ours | {name_in(network, name): array for network, name, array in theirs}


def restore_statistics(start: Start, moments: Moments | None) -> None:
    """Copies the statistics of observations that the parameters were trained with.

    Raises:
        UserError: The parameters were trained with statistics and this run has none, or the reverse.
    """
    theirs = {
        name.removeprefix(_STATISTICS): array for name, array in start.arrays.items() if name.startswith(_STATISTICS)
    }
    is_normalized = moments is not None
    if bool(theirs) != is_normalized:
        without = "no " if is_normalized else ""
        raise UserError(
            f"normalize_observations is {is_normalized}, and start_from is {start.path}, which has {without}statistics "
            f"of observations: it was trained on {'raw' if is_normalized else 'normalised'} ones; both must agree: "
            "change normalize_observations"
        )
    if moments is None:
        return
    try:
        moments.restore(theirs)
    except (KeyError, ValueError) as error:
        raise UserError(f"start_from is {start.path}, whose statistics of observations do not fit: {error}") from error


def use_copy(start_from: str, copy: Path) -> None:
    """Makes this process read a copy of the file that `start_from` is a path of: it runs on another machine."""
    _copies[start_from] = copy


def contents(config: Config) -> bytes | None:
    """The bytes of the file that a run's initial parameters are read from; None if they are drawn from its seed.

    Raises:
        UserError: As `read`.
    """
    return None if config.start_from is None else _read(config)


def _path(start_from: str) -> Path:
    """The file, or this machine's copy of it."""
    return _file(_copies.get(start_from, Path(start_from)))


def _read(config: Config) -> bytes:
    path = _path(str(config.start_from))
    data = files.read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    if config.start_from_sha256 not in (None, digest):
        raise UserError(
            f"{path} has the sha256 {digest}, and start_from_sha256 is {shown(config.start_from_sha256)}; the file "
            "must be the one that the settings were made with"
        )
    return data


def _file(path: Path) -> Path:
    """The .safetensors file that a path means: the path may also be a run, a policy's folder or a checkpoint."""
    if not path.is_dir():
        if path.suffix in (".pdparams", ".pdopt", ".pt", ".pth", ".pkl"):
            raise UserError(
                f"start_from is {path}, a pickle, which can run code and is not read; docs/paddle.md shows the two "
                "lines that convert it to .safetensors"
            )
        return path
    for name in ("policy/policy.safetensors", "policy.safetensors", "state.safetensors"):
        if (path / name).exists():
            return path / name
    raise UserError(f"start_from is {path}, a folder without a policy; it must be a run or a .safetensors file")
