"""The versions and the machine a run was made with; bits are the same for equal versions and kinds of processor."""

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
    """The versions of a2c, Python and the packages that compute, and the machine's type; None: not installed."""
    known: dict[str, str | None] = {"a2c": __version__, "python": platform.python_version()}
    known["machine"] = platform.machine()
    for package in ("numpy", "numba", "gymnasium", "paddlepaddle", "paddlepaddle-gpu"):
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            known[package] = None
    return known


def processor() -> str:
    """The kind of processor that machine code is compiled for."""
    from a2c.kernels import compiler  # Here: importing Numba takes a while, and reading a run's folder needs none.

    return compiler.processor()


@functools.cache
def machine() -> dict[str, Any]:
    """The machine, for the record: times depend on it, and rounding may differ between kinds of processor."""
    name = ""
    with contextlib.suppress(OSError, StopIteration):  # Only Linux has this file; elsewhere `platform` has to do.
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {
        "system": platform.platform(),
        "processor": name or platform.processor() or platform.machine(),
        "cores": cores(),
    }


def made_with(engine_name: str) -> dict[str, str | None]:
    """What decides the bits of a run, apart from its settings and its seed."""
    return {
        **{name: version for name, version in versions().items() if "paddle" in engine_name or "paddle" not in name},
        "engine": engine_name.split(",")[0],
        "processor": processor(),
    }
