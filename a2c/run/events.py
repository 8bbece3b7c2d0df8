"""The events of a run, a line of events.jsonl each, and the recorded steps that led an environment to an error."""

from __future__ import annotations

import collections
import contextlib
import datetime
import json
import warnings
from pathlib import Path

from a2c import files
from a2c.errors import FailedEpisode, UserError
from a2c.spaces import plain


class Events:
    """events.jsonl in a run's folder.

    Attributes:
        added: How many this process has added, by kind.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "events.jsonl"
        self._unwritten: list[str] = []  # lines
        self.added: collections.Counter[str] = collections.Counter()

    def add(self, kind: str, steps: int, details: str) -> None:
        """Writes a line: an event after so many steps of the run.

        A line that cannot be written, on a full disk, say, waits for `write`.

        Raises:
            UserError: The file is a link.
        """
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        self.added[kind] += 1
        self._unwritten.append(json.dumps({"time": now, "steps": steps, "event": kind, "details": details}))
        self.write()

    def warn(self, kind: str, steps: int, details: str) -> None:
        """Adds a line, and warns with it.

        Raises:
            UserError: The file is a link.
        """
        self.add(kind, steps, details)
        warnings.warn(details, stacklevel=3)

    def write(self) -> None:
        """Writes the waiting lines, if that is possible now.

        Raises:
            UserError: The file is a link.
        """
        if self._path.is_symlink():
            raise UserError(f"{self._path} is a symbolic link; it must be a file")
        if not self._unwritten:
            return
        data = "".join(f"{line}\n" for line in self._unwritten).encode()
        with contextlib.suppress(OSError), self._path.open("ab+", buffering=0) as file:
            size = file.tell()
            file.seek(max(0, size - 1))
            if file.read(1) not in (b"", b"\n"):  # A crash cut the last line short.
                data = b"\n" + data
            if file.write(data) == len(data):
                self._unwritten.clear()
            else:
                file.truncate(size)

    def count(self) -> dict[str, int]:
        """How often each kind of event happened."""
        lines = [line.encode() for line in self._unwritten]
        with contextlib.suppress(UserError):
            lines += files.read_bytes(self._path).splitlines()
        kinds: collections.Counter[str] = collections.Counter()
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):  # A crash may have cut a line short.
                match json.loads(line):
                    case {"event": str(kind)}:
                        kinds[kind] += 1
        return dict(kinds)


def save_failed_episode(folder: Path, failed: FailedEpisode, message: str) -> None:
    """Writes the steps that led an environment to an error into a run's folder: failure.json and .safetensors.

    Raises:
        UserError: The folder cannot be written.
    """
    files.write_arrays(folder / "failure.safetensors", {"actions": plain(failed.actions)})
    description = {**failed._asdict(), "message": message}
    del description["actions"]
    files.write_json(folder / "failure.json", description)


def saved_failed_episode(folder: Path) -> FailedEpisode:
    """The steps that led an environment of a run to an error.

    Raises:
        UserError: There are none, or the files are damaged.
    """
    path = folder / "failure.json"
    if not path.exists():
        raise UserError(f"{folder} has no failure.json: no environment of this run failed in training")
    description = files.read_json(path)
    arrays = files.read_arrays(folder / "failure.safetensors")
    match description, arrays:
        case (
            {"env_index": int(index), "episode": int(episode), "episode_seed": int(seed)},
            {"actions": actions},
        ) if 0 <= seed < 2**63 and actions.ndim >= 1:
            return FailedEpisode(index, episode, seed, actions)
    raise UserError(f"{path} or failure.safetensors lacks the environment, its episode or its actions")
