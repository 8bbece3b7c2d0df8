"""The command `a2c`, also as `python -m a2c`."""

from __future__ import annotations

import contextlib
import faulthandler
import sys

from a2c.imports import importing
from a2c.streams import forget, last


def main() -> int:
    """Runs this process's command line and returns its exit code."""
    if sys.__stderr__ is not None:
        with contextlib.suppress(OSError, ValueError):  # If an environment crashes the process, this prints the stack.
            faulthandler.enable(sys.__stderr__)
    last()
    try:
        with importing(owns_process=True):
            from a2c.cli import main as run

        code = run()
    except KeyboardInterrupt:
        code = 130
    failure = forget()
    if isinstance(failure, BrokenPipeError):
        return code or 141  # The reader of our output has gone, as in `a2c ... | head -1`; 128 + SIGPIPE.
    return code or (1 if failure is not None else 0)


if __name__ == "__main__":
    sys.exit(main())
