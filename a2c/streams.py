"""Makes standard output and error survive a closed pipe or terminal, so that training continues without them."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, TextIO


class Lasting:
    """A text stream that records errors instead of raising them: a full disk, a closed pipe, a closed terminal.

    Attributes:
        failure: The first error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Writes if it can; characters that the encoding lacks become question marks."""
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            return self.write(text.encode(encoding, "replace").decode(encoding))
        except (OSError, ValueError) as error:
            self._remember(error)
            return len(text)

    def flush(self) -> None:
        """Flushes the stream if it can."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._remember(error)

    def _remember(self, error: OSError | ValueError) -> None:
        if self.failure is None:
            self.failure = error if isinstance(error, OSError) else OSError(str(error))

    def __getattr__(self, name: str) -> Any:
        """Every other attribute is the stream's own."""
        return getattr(self._stream, name)


def last() -> None:
    """Replaces this process's standard streams by lasting ones."""
    # A closed descriptor 0, 1 or 2 would be given to the next file that is opened, and prints would go into it.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        setattr(sys, name, Lasting(stream))


def forget() -> OSError | None:
    """Flushes the streams; returns the first error of standard output.

    A stream that failed is pointed at the null device, or Python would complain of it again when it ends.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Lasting):
            stream.flush()
            if stream.failure is not None:
                with contextlib.suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return sys.stdout.failure if isinstance(sys.stdout, Lasting) else None
