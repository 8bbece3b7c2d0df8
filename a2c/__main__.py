"""The command `a2c`, also as `python -m a2c`."""

from __future__ import annotations

import faulthandler
import sys

from a2c.signals import interrupts_held


def main() -> int:
    """Runs this process's command line and returns its exit code."""
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)  # Where an environment takes the process with it, its stack is printed.
    try:
        with interrupts_held():
            from a2c.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
