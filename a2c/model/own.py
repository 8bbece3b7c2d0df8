"""The user's own layer: its name, how it is imported, and its description as data. Nothing here needs Paddle."""

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
    """The user's own `paddle.nn.Layer`, instead of hidden layers: the actor has one, and the critic another."""

    name: str
    """module:Class."""
    num_inputs: int
    """N: columns of its first argument."""
    images: tuple[tuple[int, int, int], ...]
    """Channels, lines and columns of each further argument, an image."""
    arrays: tuple[tuple[str, tuple[int, ...]], ...]
    """Names and shapes of its parameters and buffers, as its `state_dict` has them."""
    features: int
    """F: columns of its output."""


def is_own(network: str) -> bool:
    """Whether a value of `Config.network` is the name of the user's own layer, module:Class.

    Example:
        >>> is_own("my_nets:Torso"), is_own("nature"), is_own("32x8/4,256")
        (True, False, False)
    """
    return len(network) <= _LONGEST and _NAME.fullmatch(network) is not None


def name_of(network: Any) -> Any:
    """The name, module:Class, of a class or of a function that makes a layer; anything else is returned unchanged.

    Raises:
        UserError: It cannot be imported by that name, for example because it was defined in a function.
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
            f"network is {shown(network)}, which cannot be imported by its name, module:Class, when the run is resumed "
            "or evaluated; define it at the top level of a module"
        )
    return name


def found(name: str) -> Callable[..., Any]:
    """Imports the class or function that `module:Class` names.

    Raises:
        UserError: The module cannot be imported, has nothing of that name, or what it has cannot be called.
    """
    module, _, qualified = name.partition(":")
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
        right = (
            "install it, or put it in this folder or on PYTHONPATH"
            if is_missing
            else f"{module} exists, but raises this when imported"
        )
        raise UserError(
            f"cannot import the module of network {name!r} ({type(error).__name__}: {error}); {right}"
        ) from error
    try:
        factory = _within(imported, qualified)
    except AttributeError as error:
        right = (
            "other programs cannot import a class of a script or a notebook; define it in a module"
            if module == "__main__"
            else "it must be a class of that module"
        )
        raise UserError(f"network is {name!r}, and {module} has no {qualified}; {right}") from error
    if not callable(factory):
        raise UserError(f"network is {name!r}, which is {shown(factory)}; it must be a class: a paddle.nn.Layer")
    made: Callable[..., Any] = factory
    return made


def _within(module: Any, qualified: str) -> Any:
    return functools.reduce(getattr, qualified.split("."), module)
