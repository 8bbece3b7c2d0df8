"""Machine code on disk: files named by a hash of all that decides them, each with a checksum."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

_FORMAT = b"a2c machine code 1\n"

_trouble = False
"""Whether something could not be written."""


def folders() -> list[Path]:
    """Where machine code may be stored, best first: the folder set for Numba, beside the source, the user's."""
    of_numba = os.environ.get("NUMBA_CACHE_DIR")
    if of_numba:
        return [Path(of_numba)]
    return [Path(__file__).parent / "__pycache__", _of_user()]


def _of_user() -> Path:
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "a2c" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "a2c"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "a2c"


@functools.cache
def _folder(candidates: tuple[Path, ...]) -> Path | None:
    """The first of these folders that can be written."""
    for folder in candidates:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
    return None


def folder() -> Path | None:
    """Where machine code is kept; None: nowhere."""
    return _folder(tuple(folders()))


def is_possible() -> bool:
    """Whether this process can keep machine code, as far as it has tried."""
    return not _trouble and folder() is not None


def cannot_be_kept(where: object, error: object) -> None:
    """Warns that machine code could not be written, and remembers that."""
    global _trouble
    _trouble = True
    warnings.warn(f"machine code in {where} cannot be written ({error}); every start compiles it again", stacklevel=3)


def read(name: str) -> tuple[dict[str, Any], bytes] | None:
    """Machine code and what is known of it, by its name; None if there is none, or if it is damaged, which is said."""
    where = folder()
    if where is None:
        return None
    path = where / name
    try:
        return unpacked(path.read_bytes())
    except OSError:
        return None
    except ValueError as error:
        warnings.warn(f"machine code in {where} is damaged ({error}) and was removed", stacklevel=2)
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def write(name: str, content: bytes) -> None:
    """Writes a file at once or not at all; if that fails, it warns."""
    where = folder()
    if where is None:
        return
    try:
        with tempfile.NamedTemporaryFile(dir=where, delete=False) as file:
            try:
                file.write(content)
                file.close()
                os.replace(file.name, where / name)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(file.name)
                raise
    except OSError as error:
        cannot_be_kept(where, error)


def packed(about: dict[str, Any], code: bytes) -> bytes:
    """Machine code and what is known of it, as the content of a file."""
    content = json.dumps(about).encode() + b"\n" + code
    return _FORMAT + hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def unpacked(content: bytes) -> tuple[dict[str, Any], bytes]:
    """What `packed` was given.

    Raises:
        ValueError: The content is damaged.
    """
    head, digest, rest = content[: len(_FORMAT)], *content[len(_FORMAT) :].partition(b"\n")[::2]
    if head != _FORMAT or hashlib.sha256(rest).hexdigest().encode() != digest:
        raise ValueError("its checksum is another one")
    about, _, code = rest.partition(b"\n")
    return json.loads(about), code
