"""Files of a run: written whole or not at all, read as data only. Errors name the file and the fault."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from a2c.errors import UserError

Arrays = dict[str, NDArray[Any]]

_MOST_BYTES = 1 << 32
_MOST_JSON_BYTES = 1 << 26
_TEMPORARY = ".unfinished-"


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file atomically: after a crash it is either the old or the new one. On return, it is on disk.

    Raises:
        UserError: The folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}{_TEMPORARY}{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)  # Even a link, through which open would write elsewhere.
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def no_link(path: Path) -> Path:
    """The path, unless it is a symbolic link.

    Raises:
        UserError: It is a symbolic link.
    """
    if path.is_symlink():
        raise UserError(f"{path} is a symbolic link; it must be the folder itself")
    return path


def folder(path: Path) -> Path:
    """The folder, created if missing.

    Raises:
        UserError: It cannot be created, or is a symbolic link.
    """
    no_link(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror or error}") from error
    return path


def write_json(path: Path, value: Any) -> None:
    """Writes JSON: no NaN, no infinity.

    Raises:
        UserError: The folder cannot be written.
    """
    write_bytes(path, json_to_bytes(value))


def json_to_bytes(value: Any) -> bytes:
    """JSON as files hold it: no NaN, no infinity."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Writes named arrays as safetensors.

    Raises:
        UserError: The folder cannot be written.
    """
    write_bytes(path, arrays_to_bytes(arrays))


def arrays_to_bytes(arrays: Arrays) -> bytes:
    """Named arrays in the safetensors format."""
    data: bytes = save({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()})
    return data


def read_bytes(path: Path) -> bytes:
    """Reads a file.

    Raises:
        UserError: It is missing, not a regular file, too large, or cannot be read.
    """
    try:
        # Reading a pipe or a device might never end.
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a regular file")
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} has {path.stat().st_size} bytes; a run's file has at most {_MOST_BYTES}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        UserError: The file is missing, not JSON, or not an object.
    """
    data = read_bytes(path)
    if len(data) > _MOST_JSON_BYTES:
        raise UserError(f"{path} has {len(data)} bytes; a run's JSON file has at most {_MOST_JSON_BYTES}")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}; it must hold a JSON object")
    return value


def read_arrays(path: Path) -> Arrays:
    """Reads named arrays from safetensors, a format that holds nothing but data.

    Raises:
        UserError: The file is missing, truncated or not safetensors.
    """
    return arrays_from_bytes(read_bytes(path), path)


def arrays_from_bytes(data: bytes, path: Path) -> Arrays:
    """The arrays in the safetensors bytes of a file.

    Raises:
        UserError: They are truncated or not safetensors; names the file.
    """
    try:
        arrays: Arrays = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a whole safetensors file: {error}") from error
    return arrays


def sync(path: Path) -> None:
    """Puts a file's bytes on disk.

    Raises:
        UserError: It cannot be written.
    """
    try:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def sweep(folder: Path) -> None:
    """Removes temporary files of a process that was killed while writing. Nobody may be writing now."""
    for path in folder.glob(f".*{_TEMPORARY}*"):
        if path.is_symlink() or path.is_file():
            with contextlib.suppress(OSError):
                path.unlink()


def sync_folder(path: Path) -> None:
    """Puts a folder's entries on disk, if the system can.

    Raises:
        UserError: It cannot be written.
    """
    if os.name == "posix":
        try:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error
