"""The runs that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from a2c.errors import UserError
from a2c.run.folder import Run


def runs_in(names: Sequence[str]) -> list[Run]:
    """The runs that are named, or lie in folders that are named, each once.

    Raises:
        UserError: There is none in a folder, or one is damaged.
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
