"""Ray: starts or joins a cluster, and runs actors on it. No other file uses Ray."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any

from a2c.cluster.answers import Actor
from a2c.cluster.group import Group
from a2c.errors import UserError, plain
from a2c.imports import importing
from a2c.machine import cores

_STORE_BYTES = 2**29
"""Largest shared memory of a cluster that is started here; it only takes what it uses."""

_MOST_BYTES, _MOST_BYTES_OF_ALL = 100_000, 2**20
"""Of an argument that travels with every call (Ray takes no more without storing it), and of all its copies: over a
slow network these take longer than one for each machine."""

_NOT_THERE = "a machine of the cluster lacks what is installed here; all need this a2c and the environment's package"


class LostError(Exception):
    """An actor is lost: it died, or its machine did."""


class Cluster:
    """A Ray cluster that this process has joined.

    Attributes:
        cpus: Number of CPUs of the cluster.
        machines: Number of CPUs of each of its machines.
    """

    def __init__(self, address: str) -> None:
        """Starts or joins a cluster.

        Args:
            address: local, auto, ray://HOST:PORT or HOST:PORT.

        Raises:
            UserError: Ray is not installed, or there is no cluster.
        """
        if address == "local":
            _protect()
        # Otherwise Ray sends usage statistics to its makers.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        with importing():
            try:
                import ray
            except ModuleNotFoundError as error:
                raise UserError(f"cluster is {address!r}, and Ray is not installed; pip install 'a2c[ray]'") from error
        self._ray = ray
        self._owns = not ray.is_initialized()
        if self._owns:
            self._join(address)
        self.cpus = float(ray.cluster_resources().get("CPU", 0.0))
        self.machines = [float(node["Resources"].get("CPU", 0.0)) for node in ray.nodes() if node["Alive"]]

    def _join(self, address: str) -> None:
        started: dict[str, Any] = {}
        if address == "local":
            started = {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": _STORE_BYTES}
        is_main = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGTERM) if is_main else None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # About future changes of Ray.
                self._ray.init(address=address, log_to_driver=False, logging_level="ERROR", **started)
        except Exception as error:
            lines = plain(str(error)).strip().splitlines() or [type(error).__name__]
            where = (
                "" if address == "local"
                else "; `ray status` shows whether one runs; it must have the same token (RAY_AUTH_MODE=token)"
            )  # fmt: skip
            raise UserError(f"cluster is {address!r}, which cannot be reached: {lines[0]}{where}") from error
        else:
            # Ray prints messages about actors to standard output, among ours (--json). Lost actors we report ourselves.
            self._prints = self._ray._private.worker.print_to_stdstream
            self._ray._private.worker.print_to_stdstream = lambda *_, **__: None
        finally:
            if is_main and before is not None:
                signal.signal(signal.SIGTERM, before)  # Ray's handler would end the run without saving.

    def start(self, cpus: float, kind: type[Actor] = Group) -> Any:
        """Starts an actor of a kind, which takes so many CPUs."""
        actor = self._ray.remote(kind)
        # Ray must not restart it: whoever lost it does that, because it can restore what the actor had.
        return actor.options(num_cpus=cpus, max_restarts=0, scheduling_strategy="SPREAD").remote()

    def has_room(self, cpus: float, within_seconds: float = 0.0) -> bool:
        """Whether so many CPUs are free, now or within some seconds: an actor that ended frees them a moment later."""
        give_up = time.monotonic() + within_seconds
        while self.free() < cpus:
            if time.monotonic() >= give_up:
                return False
            time.sleep(0.1)
        return True

    def free(self) -> float:
        """How many CPUs of the cluster nobody uses."""
        return float(self._ray.available_resources().get("CPU", 0.0))

    def put(self, value: Any) -> Any:
        """Puts a value on the cluster for all actors to read; each machine fetches it once."""
        return self._ray.put(value)

    def argument(self, data: bytes, actors: int) -> Any:
        """Bytes as an argument of calls of so many actors: themselves if they are few, as fetching takes longer."""
        are_few = len(data) < _MOST_BYTES and len(data) * actors < _MOST_BYTES_OF_ALL
        return data if are_few else self.put(data)

    def ask(self, actor: Any, name: str, *args: Any) -> Any:
        """Calls a method of an actor without waiting; `answer` waits for the result."""
        return actor.answer.remote(name, *args)

    def late(self, asked: Sequence[Any], seconds: float) -> list[int]:
        """Waits for answers; returns the positions in `asked` of those that did not come in time."""
        if not asked:
            return []
        done, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
        return [place for place, one in enumerate(asked) if one not in done]

    def answer(self, asked: Any) -> Any:
        """Waits for the result of a call.

        Raises:
            LostError: The actor is lost.
            UserError: The actor's machine cannot import its code or an argument of the call.
            Exception: The actor raised it.
        """
        errors = self._ray.exceptions
        try:
            value, error, details = self._ray.get(asked)
        except errors.RayTaskError as failed:
            # Methods return their exceptions as values. This one arose before: an argument's module is missing there.
            raise UserError(f"{_NOT_THERE}: {_last_line(failed)}") from failed
        except errors.RayError as gone:
            if "creation task" in str(gone):  # Only an import can fail here.
                raise UserError(f"{_NOT_THERE}: {_last_line(gone)}") from gone
            raise LostError(_reason(gone)) from gone
        if error is not None:
            raise error from RuntimeError(f"in an actor:\n{details}")
        return value

    def end(self, actor: Any) -> None:
        """Ends an actor at once. May be called twice."""
        self._ray.kill(actor, no_restart=True)

    def close(self) -> None:
        """Leaves the cluster. A cluster that was started here ends."""
        if self._owns and self._ray.is_initialized():
            self._ray.shutdown()
            self._ray._private.worker.print_to_stdstream = self._prints


def _protect() -> None:
    """Makes a cluster that is started here accept connections from this machine only, and only with its token."""
    if "ray" in sys.modules:  # Too late: Ray reads these variables when it is imported.
        return
    # "0" restricts it to this machine, as on Windows and macOS, after which Ray named the variable.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token" and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _last_line(error: Exception) -> str:
    return next((line.strip() for line in reversed(plain(str(error)).splitlines()) if line.strip()), "")


def _reason(error: Exception) -> str:
    """Why an actor is lost: one sentence of Ray's long message."""
    lines = [line.strip() for line in plain(str(error)).splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("The actor is dead because")] or lines[:1]
    if not said:
        return type(error).__name__
    return said[0].split(". ")[0].rstrip(".").removeprefix("The actor is dead because ")
