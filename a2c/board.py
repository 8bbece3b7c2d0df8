"""Starts TensorBoard or VisualDL, for this machine only, on curves written from the metrics of runs."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from a2c.errors import UserError
from a2c.report.curves import names_of
from a2c.report.folders import runs_in
from a2c.run.folder import Run
from a2c.run.writers import tag_of

Kind = Literal["tensorboard", "visualdl"]

LOOPBACK = "127.0.0.1"
NAMES: dict[Kind, str] = {"tensorboard": "TensorBoard", "visualdl": "VisualDL"}

_MODULES: dict[Kind, str] = {"tensorboard": "tensorboard.main", "visualdl": "visualdl.server.app"}
_WAIT_SECONDS, _LOOK_SECONDS, _END_SECONDS = 120.0, 0.1, 5.0
_LONGEST_NAME = 180
_PR_SET_PDEATHSIG = 1


def installed(wanted: Kind | Literal["auto"]) -> Kind:
    """The wanted board; for "auto", the first that is installed.

    Raises:
        UserError: It is not installed, or none is.
    """
    for kind in NAMES if wanted == "auto" else [wanted]:
        if importlib.util.find_spec(kind) is not None:
            return kind
    if wanted == "auto":
        raise UserError("neither TensorBoard nor VisualDL is installed; pip install 'a2c[tensorboard]'")
    raise UserError(f"{NAMES[wanted]} is not installed; pip install 'a2c[{wanted}]'")


class _Written(NamedTuple):
    """A run whose curves are being written."""

    run: Run
    folder: Path
    writer: Any
    rows: list[dict[str, Any]]
    """The rows already written."""


class Curves:
    """Curves of runs in a temporary folder, under names that describe the runs; `follow` adds new rows."""

    def __init__(self, kind: Kind, folders: Sequence[str], root: Path) -> None:
        """Writes nothing yet.

        Args:
            kind: The board that reads them.
            folders: Run folders, or folders of runs, to which later runs may be added.
            root: The folder to write to.
        """
        self._kind, self._folders, self._root = kind, folders, root
        self._written: dict[Path, _Written] = {}

    @property
    def names(self) -> list[str]:
        """The names of the runs."""
        return [written.folder.name for written in self._written.values()]

    def follow(self) -> None:
        """Writes the rows that were added since the last call.

        Raises:
            UserError: There is no run.
        """
        runs = runs_in(self._folders)
        if any(run.path not in self._written for run in runs):
            taken = set(self.names)
            for run, name in zip(runs, names_of(runs), strict=True):
                if run.path not in self._written:
                    self._begin(run, _free(_folder_name(name), run, taken), [])
        for written in list(self._written.values()):
            try:
                rows = written.run.metrics()
            except UserError:  # There are no metrics yet, or the run was removed.
                continue
            done = len(written.rows)
            if rows[:done] != written.rows:  # The run was resumed from a checkpoint, which cut its metrics back.
                _close(written.writer)
                shutil.rmtree(written.folder, ignore_errors=True)
                written, done = self._begin(written.run, written.folder.name, []), 0
            self._add(written, rows[done:])

    def close(self) -> None:
        """Closes the writers."""
        for written in self._written.values():
            _close(written.writer)

    def _begin(self, run: Run, name: str, rows: list[dict[str, Any]]) -> _Written:
        folder = self._root / name
        written = _Written(run, folder, _writer(self._kind, folder), rows)
        self._written[run.path] = written
        return written

    def _add(self, written: _Written, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            for name, value in row.items():
                tag = tag_of(name)
                if tag is not None and isinstance(value, int | float):
                    written.writer.add_scalar(tag, value, row["steps"])
            written.rows.append(row)
        if rows:
            written.writer.flush()


@contextlib.contextmanager
def served(kind: Kind, folder: Path, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Runs a board on a folder of curves while entered; yields its address and its process.

    Args:
        kind: Which board.
        folder: The curves. The board's temporary files go to the parent folder.
        port: Port on the loopback; 0: any free port.

    Raises:
        UserError: The board does not start, or the port is taken.
    """
    port = _port(port)
    flags = ["--host", LOOPBACK, "--port", str(port), "--logdir", "."]  # Relative: VisualDL shows the path.
    flags += ["--reload_interval", "5"] if kind == "tensorboard" else ["--disable-telemetry", "--cache-timeout", "5"]
    command = [sys.executable, "-W", "ignore", "-c", _CHILD, _MODULES[kind], *flags]
    with tempfile.TemporaryFile() as said:
        # In its own session, so that a Ctrl-C reaches only us, and we end it.
        process = subprocess.Popen(  # noqa: S603 - nothing in it is a stranger's
            command,
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder.parent)},  # TensorBoard leaves files there.
        )
        try:
            stop = time.monotonic() + _WAIT_SECONDS
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > stop:
                    said.seek(0)
                    last = said.read().decode(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
                    raise UserError(f"{NAMES[kind]} does not start: {last[0]}")
                time.sleep(_LOOK_SECONDS)
            path = "/app" if kind == "visualdl" else ""
            yield f"http://{LOOPBACK}:{port}{path}", process
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


_CHILD = f"""
import contextlib, ctypes, runpy, signal, sys
with contextlib.suppress(Exception):  # On Linux: it dies with its parent, however that ends.
    ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, signal.SIGKILL)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""The program of a board's process."""


def _port(wanted: int) -> int:
    """A free port of the loopback: the wanted one, or any for 0.

    Raises:
        UserError: The wanted port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"port {wanted} cannot be used ({reason}); --port 0 takes a free one") from error
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def _writer(kind: Kind, folder: Path) -> Any:
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")  # The packages that they import give deprecation warnings.
        if kind == "tensorboard":
            from tensorboard.summary import Writer

            return Writer(str(folder))
        from visualdl import LogWriter

        return LogWriter(logdir=str(folder))


def _close(writer: Any) -> None:
    with contextlib.suppress(Exception):  # Nobody needs the writer any more, so its errors do not matter.
        writer.close()


def _folder_name(name: str) -> str:
    """The name without characters that some file system does not take."""
    return re.sub(r'[\x00-\x1f<>:"/\\|?*]', "-", name)[:_LONGEST_NAME].strip(" .") or "run"


def _free(name: str, run: Run, taken: set[str]) -> str:
    """A name that no other run has, made with the name of the run's folder if necessary; adds it to `taken`."""
    if name in taken:
        name = f"{name}, {_folder_name(run.path.name)}"
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free
