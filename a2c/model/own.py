"""A layer of the user's own: what it is called, where it is found, what of it is data. Nothing here needs Paddle."""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from a2c.errors import UserError, shown

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_LONGEST = 500


class OwnLayer(NamedTuple):
    """A `paddle.nn.Layer` of the user's, in the place of hidden layers: the actor has one, and the critic another."""

    name: str
    """module:Class."""
    num_inputs: int
    """Columns of the numbers that it is given."""
    images: tuple[tuple[int, int, int], ...]
    """Channels, lines and columns of each image that it is given beside them."""
    arrays: tuple[tuple[str, tuple[int, ...]], ...]
    """Names and shapes of its parameters and buffers, as its `state_dict` has them."""
    features: int
    """Columns of what it gives."""


def is_own(network: str) -> bool:
    """Whether the name of a network is that of a user's own layer.

    Example:
        >>> is_own("my_nets:Torso"), is_own("nature"), is_own("32x8/4,256")
        (True, False, False)
    """
    return len(network) <= _LONGEST and _NAME.fullmatch(network) is not None


def name_of(network: Any) -> Any:
    """The name by which a class, or a function that makes a layer, is found again; what is neither stays as it is.

    Raises:
        UserError: It is not found by its name: it was made in a function, say.
    """
    if isinstance(network, str) or not callable(network):
        return network
    module, qualified = getattr(network, "__module__", None), getattr(network, "__qualname__", "")
    name = f"{module}:{qualified}"
    try:
        there = _within(sys.modules[str(module)], qualified) if is_own(name) else None
    except (KeyError, AttributeError):
        there = None
    if there is not network:
        raise UserError(
            f"network is {shown(network)}, and whoever resumes or evaluates the run must find it by its name, "
            "module:Class; define it at the top of a module"
        )
    return name


def found(name: str) -> Callable[..., Any]:
    """What `module:Class` names.

    Raises:
        UserError: The module cannot be imported, or has nothing of that name that can be called.
    """
    module, _, qualified = name.partition(":")
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
        right = (
            "it must be installed, or in this folder or PYTHONPATH" if is_missing else f"{module} is there, and raises"
        )
        raise UserError(
            f"cannot import the module of network {name!r} ({type(error).__name__}: {error}); {right}"
        ) from error
    try:
        factory = _within(imported, qualified)
    except AttributeError as error:
        right = (
            "a class of a script or a notebook is found there alone; in a module it is found everywhere"
            if module == "__main__"
            else "it must be a class there"
        )
        raise UserError(f"network is {name!r}, and {module} has no {qualified}; {right}") from error
    if not callable(factory):
        raise UserError(f"network is {name!r}, which is {shown(factory)}; it must be a class, a paddle.nn.Layer")
    made: Callable[..., Any] = factory
    return made


def _within(module: Any, qualified: str) -> Any:
    return functools.reduce(getattr, qualified.split("."), module)
