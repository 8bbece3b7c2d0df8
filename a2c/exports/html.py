"""A policy as a page that plays it in the browser: one file, which loads nothing and sends nothing.

Gymnasium's classic control is simulated and drawn (`page/environments.js`). For any other environment, the user types
in an observation, and the page shows the action.
"""

from __future__ import annotations

import base64
import html
import json
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2c.exports.operations import Dense, Description, Head, Operation, Part, Reals
from a2c.version import __version__

_SCRIPTS = "policy.js", "environments.js", "stage.js", "form.js"

_DRAWN = {
    "CartPole-v0": (4, "choices"),
    "CartPole-v1": (4, "choices"),
    "MountainCar-v0": (2, "choices"),
    "MountainCarContinuous-v0": (2, "reals"),
    "Pendulum-v1": (3, "reals"),
    "Acrobot-v1": (6, "choices"),
}
"""The environments that environments.js draws: the numbers of an observation, and the kind of the action's head."""


def page_of(description: Description) -> str:
    """The text of the page."""
    # Inside <script>, only "<" could end the element or begin a comment.
    policy = json.dumps(_policy(description), allow_nan=False).replace("<", "\\u003c")
    parts = {
        "TITLE": html.escape(description.env_id),
        "VERSION": html.escape(__version__),
        "STYLE": _file("style.css"),
        "SCRIPTS": "\n".join(_file(name).replace('"use strict";\n', "") for name in _SCRIPTS),
        "POLICY": policy,
    }
    page = _file("page.html")
    pieces = page.split("@")  # Every other piece is a name. An "@" in what is inserted is not read as a mark.
    return "".join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def _file(name: str) -> str:
    return (resources.files("a2c.exports") / "page" / name).read_text(encoding="utf-8")


def _policy(d: Description) -> dict[str, Any]:
    """The description as JSON; see `page/policy.js`."""
    heads = [_head(head) for head in d.heads]
    kind = _DRAWN.get(d.env_id)
    is_drawn = kind == (d.num_obs, heads[0]["kind"]) and len(d.observation) == len(heads) == 1
    return {
        "env_id": d.env_id,
        "drawn": d.env_id if is_drawn else "",
        "observation": [_part(part) for part in d.observation],
        "action": [_part(part) for part in d.action],
        "obs_type": d.obs_type,
        "obs_limit": d.obs_limit,
        "num_actions": d.num_actions,
        "num_masks": d.num_masks,
        "memory_size": d.memory_size,
        "num_parameters": d.parameter_bytes // 4,
        "operations": [_operation(step) for step in d.operations],
        "heads": heads,
        "constants": {name: _constant(array) for name, array in d.constants.items()},
    }


def _constant(array: NDArray[Any]) -> dict[str, Any]:
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return {"type": array.dtype.name, "data": base64.b64encode(data).decode()}


def _operation(step: Operation) -> dict[str, Any]:
    found = {"kind": type(step).__name__.lower(), **step._asdict()}
    if isinstance(step, Dense):
        found["lookups"] = [lookup._asdict() for lookup in step.lookups]
    return found


def _head(head: Head) -> dict[str, Any]:
    found = {"kind": type(head).__name__.lower(), **head._asdict()}
    part = found.pop("part")
    found |= {"name": part.name, "first": part.first, "type": part.dtype}
    if isinstance(head, Reals):
        scaling = found.pop("scaling")
        found |= {name: _finite(getattr(scaling, name)) for name in ("center", "half_range", "low", "high")}
    return found


def _finite(array: NDArray[Any]) -> list[float | None]:
    """Numbers for JSON, with None for infinity, which JSON lacks."""
    return [float(x) if np.isfinite(x) else None for x in array.ravel()]


def _part(part: Part) -> dict[str, Any]:
    low, high = part.bounds
    return {
        "name": part.name, "first": part.first, "size": part.size, "says": part.says[:200],
        "is_whole": part.is_whole, "choices": part.is_choice, "low": _finite(low), "high": _finite(high),
    }  # fmt: skip
