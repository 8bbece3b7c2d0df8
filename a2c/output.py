"""Standard output with `--json`: one JSON object and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_reserved: list[TextIO] = []


@contextlib.contextmanager
def reserved_for_json() -> Iterator[None]:
    """While entered, only `print_json` prints to standard output.

    Everything else goes to standard error, even what environments and machine code print.
    """
    out, descriptor = sys.stdout, None
    with contextlib.suppress(OSError, AttributeError, ValueError):
        if out.fileno() == 1 and sys.stderr.fileno() == 2:
            out.flush()
            descriptor = os.dup(1)
            os.dup2(2, 1)
            out = os.fdopen(descriptor, "w", encoding=sys.stdout.encoding, closefd=False)
    _reserved.append(out)
    previous, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
        out.flush()
    finally:
        _reserved.pop()
        sys.stdout = previous
        if descriptor is not None:
            os.dup2(descriptor, 1)
            os.close(descriptor)


def print_json(value: Any) -> None:
    """Prints a JSON object on standard output."""
    print(json.dumps(value), file=_reserved[-1] if _reserved else sys.stdout)
