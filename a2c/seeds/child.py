"""A process that trains seeds: the parent's side of it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from typing import IO, Any, NamedTuple

from a2c.seeds.one import Job

# In a group of its own, so that a terminal's Ctrl-C reaches the parent alone, which passes it on, once; with the
# parent's path, so that it finds the same modules in the same order.
_PROGRAM = """
import os, sys
if os.name == "posix":
    os.setpgid(0, 0)
sys.path[:] = sys.argv[2:]
from a2c.seeds.process import main
main(int(sys.argv[1]))
"""

_LAST_WORDS_SECONDS = 1.0
"""How long what a process wrote last may take to be read. Longer waits only for workers that outlive it."""


class Message(NamedTuple):
    """Something a process said, or its end."""

    child: Child
    kind: str
    """As in `a2c.seeds.process`; "text": a line of standard error; "end"."""
    value: Any


class Child:
    """A process that trains seeds, and what it is at.

    Attributes:
        job: What it trains; None: nothing.
    """

    def __init__(self, cores: int, messages: queue.SimpleQueue[Message]) -> None:
        """Starts it.

        Args:
            cores: Its share of the machine.
            messages: Takes what it says.
        """
        self.job: Job | None = None
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", _PROGRAM, str(cores), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        self._messages = messages
        reads = self._read_text, self._read_messages
        self._text, self._says = (threading.Thread(target=read, daemon=True) for read in reads)
        self._text.start()
        self._says.start()

    def begin(self, job: Job) -> None:
        """Hands over a seed; where the process has just ended, its end tells of that."""
        self.job = job
        with contextlib.suppress(OSError):
            self._stdin.write(json.dumps(job.to_json()) + "\n")
            self._stdin.flush()

    def dismiss(self) -> None:
        """There is no more for it to do."""
        self.job = None
        with contextlib.suppress(OSError):
            self._stdin.close()

    def signal(self, number: int) -> None:
        """Passes a signal on, if it is there to hear it."""
        self._process.send_signal(number)

    def signal_all(self, number: int) -> None:
        """Sends a signal to it and to its workers."""
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(self._process.pid, number)
            else:
                self._process.kill()

    def kill(self) -> None:
        """Ends it and its workers, at once."""
        self.signal_all(getattr(signal, "SIGKILL", signal.SIGTERM))
        self._process.wait()

    def close(self) -> None:
        """Closes the pipes to a process that has ended. A worker that outlives it may hold on to one end of them."""
        for thread in (self._says, self._text):
            thread.join(_LAST_WORDS_SECONDS)
        with contextlib.suppress(OSError):
            self._stdin.close()
        for thread, pipe in ((self._says, self._process.stdout), (self._text, self._process.stderr)):
            if pipe is not None and not thread.is_alive():
                pipe.close()

    def wait(self, seconds: float) -> bool:
        """Waits for its end; False: it is still there."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def _stdin(self) -> IO[str]:
        assert self._process.stdin is not None  # noqa: S101 - Popen was asked for it
        return self._process.stdin

    def _read_text(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - Popen was asked for it
        for line in self._process.stderr:
            self._messages.put(Message(self, "text", line.rstrip("\n")))

    def _read_messages(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - Popen was asked for it
        for line in self._process.stdout:
            ((kind, value),) = json.loads(line).items()
            self._messages.put(Message(self, kind, value))
        code = self._process.wait()
        self._text.join(_LAST_WORDS_SECONDS)
        self._messages.put(Message(self, "end", code))


def in_words(code: int) -> str:
    """How a process ended that should not have."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
