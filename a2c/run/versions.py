"""What a run was made with: the same bits are promised for the same versions on the same kind of processor."""

from __future__ import annotations

import contextlib
import functools
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from a2c.machine import cores
from a2c.version import __version__


@functools.cache
def versions() -> dict[str, str | None]:
    """Of a2c, Python and the packages that compute; None: it is not installed."""
    known: dict[str, str | None] = {"a2c": __version__, "python": platform.python_version()}
    known["machine"] = platform.machine()
    for package in ("numpy", "numba", "gymnasium", "paddlepaddle", "paddlepaddle-gpu"):
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            known[package] = None
    return known


def processor() -> str:
    """The processor that machine code is made for here."""
    from a2c.kernels import compiler  # Here: importing Numba takes a while, and a run's folder is read without it.

    return compiler.processor()


@functools.cache
def machine() -> dict[str, Any]:
    """What a run was made on: it decides how fast, and rounding may differ between kinds of processor."""
    name = ""
    with contextlib.suppress(OSError, StopIteration):  # Elsewhere than on Linux, what Python knows.
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {
        "system": platform.platform(),
        "processor": name or platform.processor() or platform.machine(),
        "cores": cores(),
    }


def made_with(engine_name: str) -> dict[str, str | None]:
    """What decides the bits beside settings and seed."""
    return {
        **{name: version for name, version in versions().items() if "paddle" in engine_name or "paddle" not in name},
        "engine": engine_name.split(",")[0],
        "processor": processor(),
    }
