"""Standard output and error that nobody listens to: training goes on without them."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, TextIO


class Lasting:
    """A text stream whose failures are remembered, not raised: a full disk, a closed pipe, a terminal that is gone.

    Attributes:
        failure: The first one.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Writes what can be written; what the encoding lacks is a question mark."""
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            return self.write(text.encode(encoding, "replace").decode(encoding))
        except (OSError, ValueError) as error:
            self._remember(error)
            return len(text)

    def flush(self) -> None:
        """Hands over what was written."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._remember(error)

    def _remember(self, error: OSError | ValueError) -> None:
        if self.failure is None:
            self.failure = error if isinstance(error, OSError) else OSError(str(error))

    def __getattr__(self, name: str) -> Any:
        """Whatever else a stream has."""
        return getattr(self._stream, name)


def last() -> None:
    """Makes the standard streams of this process last."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # Closed ones would be the next files that are opened.
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        setattr(sys, name, Lasting(stream))


def forget() -> OSError | None:
    """What kept standard output from being written; Python would complain again when it ends."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Lasting):
            stream.flush()
            if stream.failure is not None:
                with contextlib.suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return sys.stdout.failure if isinstance(sys.stdout, Lasting) else None
