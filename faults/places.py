"""Starts training in a temporary folder, finds its processes in /proc, and searches for what it left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

_GONE_SECONDS = 10.0
"""How long processes may take to end after their parent."""


class Place:
    """A new temporary folder for runs and their temporary files, and the processes started in it.

    Attributes:
        runs: The run_dir.
        folder: The whole folder.
    """

    def __init__(self) -> None:
        # A short name, because the path of a socket in it must not exceed a hundred characters.
        self.folder = Path(tempfile.mkdtemp(prefix="a2c-faults-"))
        self.runs, self._tmp = self.folder / "runs", self.folder / "tmp"
        self._tmp.mkdir()
        self._shared_memory = _shared_memory()
        self._sessions: list[int] = []

    def start(self, *words: str, module: str = "a2c", **variables: str) -> subprocess.Popen[bytes]:
        """Starts `python -m module words` as the leader of a new session.

        Args:
            *words: The command line.
            module: The module to run.
            **variables: Added to the environment.
        """
        paths = [*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)]
        with (self.folder / "said").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *words],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(self._tmp), **variables},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        self._sessions.append(process.pid)
        return process

    @property
    def said(self) -> str:
        """The last line that a process started here wrote to standard error."""
        lines = (self.folder / "said").read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "nothing")

    def run(self) -> Path | None:
        """The newest run with a checkpoint; earlier, there is nothing to resume."""
        return max((path.parent.parent for path in self.runs.glob("*/*/checkpoints/step_*")), default=None)

    def newest_checkpoint(self) -> Path | None:
        """The newest checkpoint of any run."""
        return max(self.runs.glob("*/*/checkpoints/step_*"), key=lambda path: int(path.name[5:]), default=None)

    def leftovers(self) -> list[str]:
        """Processes and files that are left some seconds after everything should have ended."""
        deadline = time.monotonic() + _GONE_SECONDS
        while (found := self._leftovers()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _leftovers(self) -> list[str]:
        found = [f"process {_command(pid)}" for session in self._sessions for pid in members(session)]
        found += [f"shared memory {name}" for name in sorted(_unused(_shared_memory() - self._shared_memory))]
        found += [f"temporary {path.name.split('-')[0]}" for path in sorted(self._tmp.iterdir())]
        for run in self.runs.glob("*/*"):
            # Hidden files may stay in a run that was killed before its first checkpoint, not in a finished one.
            if finished(run):
                found += [f"in the run {path.relative_to(run)}" for path in sorted(run.rglob(".*"))]
        return list(dict.fromkeys(found))

    def kill(self) -> None:
        """Kills every process started here that is still alive."""
        for session in self._sessions:
            for pid in members(session):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)

    def remove(self) -> None:
        """Kills every process and deletes the folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def finished(run: Path) -> bool:
    """Whether a run came to its end."""
    path = run / "summary.json"
    return path.exists() and json.loads(path.read_text())["stopped_by"] is None


def summary(run: Path) -> dict[str, Any]:
    """A finished run's summary.json."""
    result: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return result


def members(session: int) -> dict[int, int]:
    """The living processes of a session, and the parent of each."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            state, parent, _, its_session = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state not in "ZX":
                found[int(entry)] = int(parent)
    return found


def workers(trainer: int) -> list[int]:
    """The workers of a trainer that leads its session: children of the fork server, the trainer's child."""
    parents = members(trainer)
    return sorted(pid for pid, parent in parents.items() if parents.get(parent) == trainer)


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[bytes], nap_seconds: float = 0.01) -> bool:
    """Waits for a condition; False if the process ends first."""
    while not condition():
        if process.poll() is not None:
            return False
        time.sleep(nap_seconds)
    return True


def runs_on(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Waits some seconds; returns whether the process is still alive."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _shared_memory() -> set[str]:
    """The names of multiprocessing's files in shared memory."""
    return {name for name in os.listdir("/dev/shm") if name.startswith(("pym-", "psm_", "sem."))}


def _unused(names: set[str]) -> set[str]:
    """The names that no living process has mapped: those of other programs are in use."""
    in_use = set()
    for maps in Path("/proc").glob("[0-9]*/maps") if names else ():
        with contextlib.suppress(OSError):
            lines = [line.split() for line in maps.read_text(errors="replace").splitlines()]
            # By inode, because the process that created a semaphore maps it under another name.
            in_use |= {int(line[4]) for line in lines if line[5:] and line[5].startswith("/dev/shm/")}
    inodes = {}
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            inodes[name] = os.stat(f"/dev/shm/{name}").st_ino
    return {name for name, inode in inodes.items() if inode not in in_use}


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()[:100]
    return "that has just ended"
