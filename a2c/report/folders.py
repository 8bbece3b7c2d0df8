"""Finds the runs that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from a2c.errors import UserError
from a2c.run.folder import Run

AGAINST = "against"
"""The word between groups of runs. The command line also takes `--`, which is replaced by it."""


def groups_in(words: Sequence[str], verb: str) -> dict[str, list[Run]]:
    """The groups of runs that a command line names: A, B and so on, or "" if there is only one.

    Args:
        words: Runs or folders of runs, and `AGAINST` between groups.
        verb: The verb, for error messages.

    Raises:
        UserError: A group is empty, or a run is in two groups; or as `runs_in`.
    """
    if not words:
        raise UserError(f"{verb} needs the folder of at least one run")
    groups: list[list[str]] = [[]]
    for word in words:
        if word == AGAINST:
            groups.append([])
        else:
            groups[-1].append(word)
    if len(groups) == 1:
        return {"": runs_in(groups[0])}
    found: dict[str, list[Run]] = {}
    for number, group in enumerate(groups):
        name = letter(number)
        if not group:
            raise UserError(f"{verb} got no run for {name}; it takes A... -- B...")
        found[name] = runs_in(group)
    places: dict[Path, str] = {}
    for name, runs in found.items():
        for run in runs:
            if places.setdefault(run.path.resolve(), name) != name:
                raise UserError(f"{run.path} is in two groups; a run must be in one")
    return found


def letter(number: int) -> str:
    """The name of a group: A to Z, and then AA to ZZ.

    Example:
        >>> letter(0), letter(25), letter(27)
        ('A', 'Z', 'AB')
    """
    return (letter(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def runs_in(names: Sequence[str]) -> list[Run]:
    """The named runs and the runs in named folders, each once.

    Raises:
        UserError: A folder holds no run, or a run is damaged.
    """
    found: dict[Path, Path] = {}
    for name in names:
        folder = Path(name).expanduser()
        paths = [folder]
        if folder.is_dir() and not (folder / "config.json").exists():
            configs = [*folder.glob("*/config.json"), *folder.glob("*/*/config.json")]
            paths = sorted(config.parent for config in configs)
            if not paths:
                raise UserError(f"{folder} is not a run folder: it has no config.json, and no run is in it")
        for path in paths:
            found.setdefault(path.resolve(), path)
    return [Run(path) for path in found.values()]
