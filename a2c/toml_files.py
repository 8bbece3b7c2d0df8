"""TOML that people write: settings in a file, read as data, with a sentence for what cannot be."""

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
"""TOML has no word for None; settings that may be it take this one."""


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        UserError: It is missing, too large, or no TOML.
    """
    data = files.read_bytes(path)
    if len(data) > _MOST_BYTES:
        raise UserError(f"{path} has {len(data):,} bytes; a file of settings has less than {_MOST_BYTES:,}")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors.
        raise UserError(f"{path} is not TOML: {error}") from error


def from_toml(value: object, may_be_none: bool) -> Any:
    """A setting as Config keeps it: lists as tuples, "none" as None where there is such a thing."""
    if value == NONE and may_be_none:
        return None
    return tuple(value) if isinstance(value, list) else value


def to_toml(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as TOML can hold them: the other way round."""
    return {
        name: NONE if value is None else list(value) if isinstance(value, tuple) else value
        for name, value in settings.items()
    }
