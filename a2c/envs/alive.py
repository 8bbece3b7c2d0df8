"""Which environments are alive in this process: each is an object of its own."""

from __future__ import annotations

import contextlib
import functools
import weakref
from typing import Any, TypeVar

import gymnasium

from a2c.errors import UserError

Made = TypeVar("Made")

# By identity: an environment need not be hashable. One that nobody closed drops out when it is forgotten.
_alive: dict[int, weakref.ref[Any]] = {}


def claimed(env: Made) -> Made:
    """What was just constructed; if it is an environment, nobody else may be given it until it is `released`.

    A callable that returns the same object again, or puts a new wrapper around it, would send several courses through
    one environment, each reset and step disturbing the others.

    Raises:
        UserError: It is alive already.
    """
    if isinstance(env, gymnasium.Env):
        core = _core(env)
        known = _alive.get(id(core))
        if known is not None and known() is core:
            raise UserError(
                f"the same environment (a {type(core).__name__}) was made twice; each must be an object of its own, so "
                "the callable must construct a new one at every call"
            )
        with contextlib.suppress(TypeError):  # Some objects take no weak references; nothing can be known of those.
            _alive[id(core)] = weakref.ref(core, functools.partial(_forget, id(core)))
    return env


def released(env: gymnasium.Env[Any, Any]) -> None:
    """The environment is being closed."""
    _forget(id(_core(env)))


def _forget(key: int, _: Any = None) -> None:
    _alive.pop(key, None)


def _core(env: gymnasium.Env[Any, Any]) -> Any:
    """The environment inside all wrappers."""
    try:
        return env.unwrapped
    except Exception:  # noqa: BLE001 - a stranger's property may raise anything
        return env
