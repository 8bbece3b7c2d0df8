"""Settings in TOML files that people write. Errors name the file and the fault."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a2c import files
from a2c.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_BYTES = 1 << 20
NONE = "none"
"""TOML has no None; settings that can be None take this word for it."""


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        UserError: It is missing, too large, or not TOML.
    """
    data = files.read_bytes(path)
    if len(data) > _MOST_BYTES:
        raise UserError(f"{path} has {len(data):,} bytes; a file of settings has at most {_MOST_BYTES:,}")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors.
        raise UserError(f"{path} is not TOML: {error}") from error


def from_toml(value: object, may_be_none: bool) -> Any:
    """A setting as Config has it: lists become tuples, and "none" becomes None if the setting can be None."""
    if value == NONE and may_be_none:
        return None
    return tuple(value) if isinstance(value, list) else value


def to_toml(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as TOML can hold them; the inverse of `from_toml`."""
    return {
        name: NONE if value is None else list(value) if isinstance(value, tuple) else value
        for name, value in settings.items()
    }
