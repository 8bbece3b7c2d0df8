"""A copy of a run that is about to be damaged, and the bait beside it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

OUTPUTS = {"plot": "curve.png", "report": "report.html", "record": "video.gif", "export": "policy.pdparams"}
"""What verbs write into a run's folder."""


class Copy(NamedTuple):
    """A copy of a run that is about to be mutated."""

    rng: random.Random
    path: Path
    bait: Path
    """A folder outside: "keep.txt", "folder", "run" (a good one). Whatever happens, it must stay as it is."""

    def files(self, pattern: str) -> list[Path]:
        """The files that match, without those that a mutation made huge, or links to what is not ours to change."""
        own = [path for path in sorted(self.path.rglob(pattern)) if os.path.realpath(path) == str(path)]
        return [path for path in own if path.is_file() and path.stat().st_size < 1 << 20]

    def pick(self, pattern: str = "*") -> Path:
        """One of these files."""
        return self.rng.choice(self.files(pattern))

    def name(self, path: Path) -> str:
        """A file's name in the run."""
        return str(path.relative_to(self.path))

    def seal(self, state: Path) -> str:
        """Makes a checkpoint's manifest agree with its state again, mostly: the hostile case."""
        manifest = state.parent / "manifest.json"
        if manifest not in self.files("manifest.json") or self.rng.random() < 0.2:
            return ""
        data = state.read_bytes()
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):  # An earlier mutation has been here.
            value = json.loads(manifest.read_bytes())
            if state.name in value["files"]:
                value["files"][state.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                manifest.write_text(json.dumps(value))
                return ", sealed"
        return ""


Mutation = Callable[[Copy], str]
