"""How an actor answers: what a method returned or raised, as a value; and how it comes to find modules. No Ray here."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import cloudpickle


class Answer(NamedTuple):
    """What a method returned, or the exception that it raised."""

    value: Any
    error: Exception | None = None
    details: str = ""
    """The traceback."""


class Actor(Protocol):
    """What runs in an actor. Its methods are called through `answer` alone."""

    def answer(self, name: str, *args: Any) -> Answer:
        """Calls the method of that name, as `answered` does."""
        ...


def answered(actor: Actor, name: str, args: Sequence[Any]) -> Answer:
    """Calls a method. Exceptions are returned as values, so that their attributes are not lost."""
    try:
        return Answer(getattr(actor, name)(*args))
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
        details = "".join(traceback.format_exception(error))
        try:
            cloudpickle.loads(cloudpickle.dumps(error))
        except Exception:  # noqa: BLE001 - a user's exception may fail to pickle in any way
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return Answer(None, error, details)


def search_paths() -> list[str]:
    """The module search path of this process, as absolute paths: actors import environments from it."""
    return [os.path.abspath(path) for path in sys.path]


def arrived(paths: Sequence[str]) -> str:
    """Adds another process's search path, as far as its folders exist here; returns this machine's name."""
    sys.path += [path for path in paths if path not in sys.path and os.path.exists(path)]
    return socket.gethostname()
