"""`a2c board [RUNS]`: shows the curves of runs in TensorBoard or VisualDL, reachable from this machine only."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Literal

import tyro

from a2c.board import NAMES, Curves, installed, served
from a2c.errors import UserError


@dataclasses.dataclass(frozen=True)
class Board:
    """Show the curves of runs in TensorBoard or VisualDL, whichever is installed, until Ctrl-C."""

    folders: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[RUNS]")] = ("runs",)
    """Run folders, or folders of runs; curves of runs still in training grow."""
    board: Literal["auto", "tensorboard", "visualdl"] = "auto"
    """Which of them. auto: TensorBoard if it is installed."""
    port: int = 0
    """Port on 127.0.0.1. 0: any free port."""
    refresh_seconds: float = 5.0
    """How often to look for new rows and new runs."""

    def run(self) -> int:
        """Returns the exit code."""
        if not 0.1 <= self.refresh_seconds <= 3600:
            raise UserError(f"refresh_seconds is {self.refresh_seconds}; it must be from 0.1 to 3,600")
        kind = installed(self.board)
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # To close as Ctrl-C does.
        try:
            with tempfile.TemporaryDirectory(prefix="a2c-board-") as scratch:
                root = Path(scratch) / "runs"
                root.mkdir()
                curves = Curves(kind, self.folders, root)
                try:
                    curves.follow()
                    with served(kind, root, self.port) as (address, process):
                        several = "s" if len(curves.names) > 1 else ""
                        print(
                            f"{address}   {NAMES[kind]}, {len(curves.names)} run{several}; Ctrl-C ends it", flush=True
                        )
                        while process.poll() is None:
                            time.sleep(self.refresh_seconds)
                            with contextlib.suppress(UserError):  # A run that is just being created, or was removed.
                                curves.follow()
                    raise UserError(f"{NAMES[kind]} ended, with exit code {process.returncode}")
                finally:
                    curves.close()
        except KeyboardInterrupt:
            return 0
        finally:
            signal.signal(signal.SIGTERM, before)
