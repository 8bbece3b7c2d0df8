"""Ray: a cluster that is started or joined, and actors on it. Nothing else here knows of it."""

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

from a2c.cluster.group import Group
from a2c.errors import UserError, plain
from a2c.imports import importing
from a2c.machine import cores

_STORE_BYTES = 2**29
"""What a cluster that is started here shares between its processes, at most; it takes no more than what is in it."""


_NOT_THERE = "a machine of the cluster lacks what is installed here; all need this a2c and the environment's package"


class LostError(Exception):
    """An actor is gone: it died, or its machine did."""


class Cluster:
    """A Ray cluster that this process is joined to.

    Attributes:
        cpus: How many it has.
    """

    def __init__(self, address: str) -> None:
        """Starts one, or joins one.

        Args:
            address: local, auto, ray://HOST:PORT or HOST:PORT.

        Raises:
            UserError: Ray is not installed, or there is no cluster.
        """
        if address == "local":
            _protect()
        # It reports who uses it to those who make it, unless told not to.
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

    def _join(self, address: str) -> None:
        started: dict[str, Any] = {}
        if address == "local":
            started = {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": _STORE_BYTES}
        is_main = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGTERM) if is_main else None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Of Ray's own, about what it will change.
                self._ray.init(address=address, log_to_driver=False, logging_level="ERROR", **started)
        except Exception as error:
            lines = plain(str(error)).strip().splitlines() or [type(error).__name__]
            where = (
                "" if address == "local"
                else "; `ray status` shows whether there is one, and it must have the same token (RAY_AUTH_MODE=token)"
            )  # fmt: skip
            raise UserError(f"cluster is {address!r}, and there is none to be had: {lines[0]}{where}") from error
        else:
            # What Ray has to say of actors it prints to standard output, which is not its own; what matters, we say.
            self._prints = self._ray._private.worker.print_to_stdstream
            self._ray._private.worker.print_to_stdstream = lambda *_, **__: None
        finally:
            if is_main and before is not None:
                signal.signal(signal.SIGTERM, before)  # Ray's own would end us without saving.

    def start(self, cpus: float) -> Any:
        """A `Group` in an actor of its own, which takes so many CPUs; an empty one, wherever there is room."""
        actor = self._ray.remote(Group)
        # Whoever lost it starts the next one: only they know where its environments stood.
        return actor.options(num_cpus=cpus, max_restarts=0, scheduling_strategy="SPREAD").remote()

    def has_room(self, cpus: float, within_seconds: float = 0.0) -> bool:
        """Whether so many CPUs are free, now or within some seconds: an actor that ended frees them a moment later."""
        give_up = time.monotonic() + within_seconds
        while float(self._ray.available_resources().get("CPU", 0.0)) < cpus:
            if time.monotonic() >= give_up:
                return False
            time.sleep(0.1)
        return True

    def put(self, value: Any) -> Any:
        """A value that all actors may read, each machine fetching it once."""
        return self._ray.put(value)

    def ask(self, actor: Any, name: str, *args: Any) -> Any:
        """Has a method of the group called; `answer` waits for what it gives."""
        return actor.answer.remote(name, *args)

    def late(self, asked: Sequence[Any], seconds: float) -> list[int]:
        """Waits for some answers; the places of those that did not come in time."""
        if not asked:
            return []
        done, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
        return [place for place, one in enumerate(asked) if one not in done]

    def answer(self, asked: Any) -> Any:
        """What was asked for.

        Raises:
            LostError: The actor is gone.
            UserError: What the group is made of, or was asked with, cannot be imported on its machine.
            Exception: What the group raised.
        """
        errors = self._ray.exceptions
        try:
            value, error, details = self._ray.get(asked)
        except errors.RayTaskError as failed:
            # Its methods answer with what they raise: this is of what it was asked with, an environment's module, say.
            raise UserError(f"{_NOT_THERE}: {_last_line(failed)}") from failed
        except errors.RayError as gone:
            if "creation task" in str(gone):  # A group is made of nothing that could fail, but for imports.
                raise UserError(f"{_NOT_THERE}: {_last_line(gone)}") from gone
            raise LostError(_reason(gone)) from gone
        if error is not None:
            raise error from RuntimeError(f"in an actor:\n{details}")
        return value

    def end(self, actor: Any) -> None:
        """Ends an actor at once. May be called twice."""
        self._ray.kill(actor, no_restart=True)

    def close(self) -> None:
        """Leaves the cluster; one that was started here ends."""
        if self._owns and self._ray.is_initialized():
            self._ray.shutdown()
            self._ray._private.worker.print_to_stdstream = self._prints


def _protect() -> None:
    """Sees to it that what is started here answers to this machine alone, and to whoever has its token."""
    if "ray" in sys.modules:  # It reads these when it is imported.
        return
    # Ray's name for "only this machine", which is what it does elsewhere than on Linux.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token" and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _last_line(error: Exception) -> str:
    return next((line.strip() for line in reversed(plain(str(error)).splitlines()) if line.strip()), "")


def _reason(error: Exception) -> str:
    """Why an actor is gone, in a sentence out of Ray's many."""
    lines = [line.strip() for line in plain(str(error)).splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("The actor is dead because")] or lines[:1]
    if not said:
        return type(error).__name__
    return said[0].split(". ")[0].rstrip(".").removeprefix("The actor is dead because ")
