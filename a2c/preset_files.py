"""Preset files: settings for an environment in TOML, written by `a2c tune` or by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from a2c import files
from a2c.config import FREE, Config, check_field_names, may_be_none
from a2c.errors import UserError, shown
from a2c.toml_files import from_toml, read_toml, to_toml

_NO_PART = {"env_id", "seed", *(name for name in FREE if name not in ("total_steps", "stop_at_return"))}
"""Fields of Config that a preset cannot set: environment, seed, and what depends on the machine."""


class PresetFile(NamedTuple):
    """The contents of a preset file."""

    environment: str | None
    """The environment that it was made for; None if the file does not say."""
    settings: Mapping[str, Any]
    """Fields of Config, each within its range."""


def is_file_name(preset: str) -> bool:
    """Whether a preset names a file: it ends in .toml, has a slash, or the file exists."""
    return preset.endswith(".toml") or "/" in preset or "\\" in preset or Path(preset).is_file()


def read_preset(preset: str) -> PresetFile:
    """Reads a preset from its file.

    Raises:
        UserError: The file is missing or not TOML, has other keys than `environment` and `[settings]`, or a setting is
            unknown, not allowed in a preset, or out of its range.
    """
    path = Path(preset).expanduser()
    values = read_toml(path)
    unknown = [name for name in values if name not in ("environment", "settings")]
    if unknown:
        fields = {field.name for field in dataclasses.fields(Config)}
        hint = "; settings stand below a line [settings]" if unknown[0] in fields else ""
        raise UserError(f"{path} has {shown(unknown[0])}; a preset has only environment and [settings]{hint}")
    environment, found = values.get("environment"), values.get("settings", {})
    if not isinstance(environment, str | None):
        raise UserError(f"{path} has {shown(environment)} for environment; it must be an environment's name")
    if not isinstance(found, dict):
        raise UserError(f"{path} has {shown(found)} for settings; it must be a table, [settings]")
    try:
        check_field_names(found)
        for name in found:
            if name in _NO_PART:
                raise UserError(f"{name} cannot be set in a preset; give it on the command line")
        settings = {name: from_toml(value, may_be_none(name)) for name, value in found.items()}
        for name, value in settings.items():  # One by one; combinations are checked when the whole Config is made.
            Config("any", **{name: value})
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return PresetFile(environment, settings)


def preset_of(config: Config) -> dict[str, Any]:
    """The settings in which a Config differs from the defaults, without those that a preset cannot set."""
    defaults = Config(config.env_id)
    names = [field.name for field in dataclasses.fields(Config) if field.name not in _NO_PART]
    found = {name: getattr(config, name) for name in names}
    return {name: value for name, value in found.items() if value != getattr(defaults, name)}


def write_preset(path: Path, config: Config, comment: str) -> None:
    """Writes a Config's settings as a preset file, from which the same Config is made again.

    Args:
        path: The file.
        config: The settings.
        comment: Text above them; any number of lines.

    Raises:
        UserError: The folder cannot be written.
    """
    import tomli_w  # Not at the top: only the extra `tune` installs it.

    values = {"environment": config.env_id, "settings": to_toml(preset_of(config))}
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    files.write_bytes(path, "\n".join([*lines, "", tomli_w.dumps(values)]).encode())
