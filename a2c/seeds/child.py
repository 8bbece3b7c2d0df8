"""A process that trains seeds: the parent's side.

`Child` is what a parent needs of such a process, wherever it runs: `LocalChild` is one of this machine, and
`a2c.seeds.remote` has one in an actor of a cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from typing import IO, Any, NamedTuple, Protocol

from a2c.seeds.one import Job

# In a process group of its own, so that Ctrl-C reaches only the parent, which passes it on, once. Actors of Ray block
# SIGINT, and their children inherit that. With the parent's sys.path, it finds the same modules in the same order.
_PROGRAM = """
import os, signal, sys
if os.name == "posix":
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
sys.path[:] = sys.argv[2:]
from a2c.seeds.process import main
main(int(sys.argv[1]))
"""

_DRAIN_SECONDS = 1.0
"""How long to go on reading the pipes of a process that has ended; workers that outlive it may hold them open."""


class Message(NamedTuple):
    """A message of a process, or its end."""

    child: Child
    kind: str
    """As in `a2c.seeds.process`; or "text": a line of standard error; "end": it ended, with this exit code; "lost": its
    actor, or the machine of that, is gone, in words."""
    value: Any


class Child(Protocol):
    """A process that trains seeds, one after another; its messages come in a queue.

    Attributes:
        job: What it trains now; None: nothing.
    """

    job: Job | None

    def begin(self, job: Job) -> None:
        """Gives it a seed to train. If it has just ended or was lost, the message that says so will follow."""
        ...

    def dismiss(self) -> None:
        """Tells it that there are no more seeds, so that it ends."""
        ...

    def signal(self, number: int) -> None:
        """Sends a signal to the process, if it is alive."""
        ...

    def signal_all(self, number: int) -> None:
        """Sends a signal to the process and its workers."""
        ...

    def kill(self) -> None:
        """Kills the process and its workers."""
        ...

    def close(self) -> None:
        """Frees what belongs to a process that has ended."""
        ...

    def wait(self, seconds: float) -> bool:
        """Waits for its end; False if it is still alive."""
        ...


class LocalChild:
    """A `Child` on this machine.

    Attributes:
        job: What it trains now; None: nothing.
    """

    def __init__(self, cores: int, messages: queue.SimpleQueue[Message], folder: str | None = None) -> None:
        """Starts the process.

        Args:
            cores: How many cores it may use.
            messages: Where its messages go.
            folder: Its working directory; None: this process's.
        """
        self.job: Job | None = None
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", _PROGRAM, str(cores), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            cwd=folder,
        )
        self._messages = messages
        reads = self._read_text, self._read_messages
        self._text_reader, self._message_reader = (threading.Thread(target=read, daemon=True) for read in reads)
        self._text_reader.start()
        self._message_reader.start()

    def begin(self, job: Job) -> None:
        """Gives it a seed to train. If the process has just ended, an "end" message will follow."""
        self.job = job
        self.say("train", job.to_json())

    def say(self, order: str, value: Any) -> None:
        """Writes it an order, as in `a2c.seeds.process`."""
        with contextlib.suppress(OSError):
            self._stdin.write(json.dumps({order: value}) + "\n")
            self._stdin.flush()

    def dismiss(self) -> None:
        """Tells the process that there are no more seeds, so that it ends."""
        self.job = None
        with contextlib.suppress(OSError):
            self._stdin.close()

    def signal(self, number: int) -> None:
        """Sends a signal to the process, if it is alive."""
        self._process.send_signal(number)

    def signal_all(self, number: int) -> None:
        """Sends a signal to the process and its workers."""
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(self._process.pid, number)
            else:
                self._process.kill()

    def kill(self) -> None:
        """Kills the process and its workers."""
        self.signal_all(getattr(signal, "SIGKILL", signal.SIGTERM))
        self._process.kill()  # It may not have made its group yet.
        self._process.wait()

    def close(self) -> None:
        """Closes the pipes to a process that has ended, except one that a worker which outlives it holds open."""
        for thread in (self._message_reader, self._text_reader):
            thread.join(_DRAIN_SECONDS)
        with contextlib.suppress(OSError):
            self._stdin.close()
        pipes = (self._message_reader, self._process.stdout), (self._text_reader, self._process.stderr)
        for thread, pipe in pipes:
            if pipe is not None and not thread.is_alive():
                pipe.close()

    def wait(self, seconds: float) -> bool:
        """Waits for its end; False if it is still alive."""
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
        self._text_reader.join(_DRAIN_SECONDS)
        self._messages.put(Message(self, "end", code))


def in_words(code: int) -> str:
    """How a process ended, from its exit code: "with exit code 1", "by SIGKILL"."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
