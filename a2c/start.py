"""What a run starts from: what is drawn from its seed, or the parameters of another run, or of a file."""

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


class Start(NamedTuple):
    """What was read; `parameters` and `statistics` fit it to a learner."""

    path: Path
    arrays: files.Arrays


def settled(config: Config) -> Config:
    """The same settings with the file of `start_from` named for good: its whole path, and the sha256 of what it holds.

    Raises:
        UserError: There is no such file, or it holds something else than `start_from_sha256` says.
    """
    if config.start_from is None:
        return config
    folder_or_file = Path(config.start_from).expanduser().absolute()
    config = dataclasses.replace(config, start_from=str(folder_or_file))
    data = _read(config)
    return dataclasses.replace(config, start_from_sha256=hashlib.sha256(data).hexdigest())


def read(config: Config) -> Start | None:
    """What a run with these settings starts from; None where that follows from its seed.

    A run that goes on from a checkpoint does not need it.

    Raises:
        UserError: The file is missing, is another than when the settings were made, or no safetensors.
    """
    if config.start_from is None:
        return None
    path = _file(Path(config.start_from))
    return Start(path, files.arrays_from_bytes(_read(config), path))


def parameters(start: Start, architecture: Architecture) -> Parameters:
    """Initial values for these networks. Layers may have our names or those of a `paddle.nn.Sequential`.

    Raises:
        UserError: Naming the array that is missing, too many, of another shape, or not finite.
    """
    arrays = numbered(start.arrays, by=1)
    shapes = architecture.shapes()
    sizes = "-".join(map(str, architecture.hidden_sizes)) or "no"
    memory = f"memory_size {architecture.memory_size}, " if architecture.memory_size else ""
    layers_of = f"hidden_sizes {sizes}" if architecture.own is None else f"network {architecture.own.name}"
    ours = f"{layers_of}, {memory}{architecture.input_size} inputs, {architecture.num_outputs} outputs"
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
        with np.errstate(over="ignore"):  # Of float64: said in words below.
            values = array.astype(np.float32)
        if array.dtype.kind != "f" or not np.isfinite(values).all():
            raise UserError(f"start_from is {start.path}, where {name} is not all finite real numbers")
    return {name: arrays[name].astype(np.float32) for name in shapes}


def drawn(config: Config, architecture: Architecture) -> Parameters:
    """Initial values that follow from the seed: ours, and what the constructor of a layer of the user's own draws."""
    ours = initial_parameters(architecture, config.initialization, config.initial_log_std, config.seed)
    if architecture.own is None:
        return ours
    from a2c.model.own_layers import initial  # Needs Paddle.

    theirs = initial(architecture.own, config.seed)
    return ours | {name_in(network, name): array for network, name, array in theirs}


def restore_statistics(start: Start, moments: Moments | None) -> None:
    """Takes over the statistics of observations that the parameters were trained with.

    Raises:
        UserError: They were trained with statistics and are to be used without, or the other way round.
    """
    theirs = {
        name.removeprefix(_STATISTICS): array for name, array in start.arrays.items() if name.startswith(_STATISTICS)
    }
    is_normalized = moments is not None
    if bool(theirs) != is_normalized:
        without = "no " if is_normalized else ""
        raise UserError(
            f"normalize_observations is {is_normalized}, and start_from is {start.path}, which has {without}statistics "
            f"of observations: its networks know them {'as they are' if is_normalized else 'normalised'}; both must "
            "agree"
        )
    if moments is None:
        return
    try:
        moments.restore(theirs)
    except (KeyError, ValueError) as error:
        raise UserError(f"start_from is {start.path}, whose statistics of observations do not fit: {error}") from error


def _read(config: Config) -> bytes:
    path = _file(Path(str(config.start_from)))
    data = files.read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    if config.start_from_sha256 not in (None, digest):
        raise UserError(
            f"{path} has the sha256 {digest}; start_from_sha256 says {shown(config.start_from_sha256)}: it must be the "
            "same file"
        )
    return data


def _file(path: Path) -> Path:
    """The file itself, where a run, its best policy or a checkpoint is named."""
    if not path.is_dir():
        if path.suffix in (".pdparams", ".pdopt", ".pt", ".pth", ".pkl"):
            raise UserError(
                f"start_from is {path}, a pickle, which can run code and is not read; docs/tutorial.md has the two "
                "lines that make a .safetensors of it"
            )
        return path
    for name in ("policy/policy.safetensors", "policy.safetensors", "state.safetensors"):
        if (path / name).exists():
            return path / name
    raise UserError(f"start_from is {path}, a folder without a policy; it must be a run or a .safetensors file")
