"""Numbers that a run logs of its episodes (`log_info`), read from the info of each episode's last step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN, MISSING, NO_NUMBER = math.nan, math.inf, -math.inf
"""Stand for a missing number, as only numbers fit into the shared memory: the end of the episode was not seen; the info
has no such key; its value is not a finite number."""


def number_in(info: Mapping[str, Any], key: str) -> float:
    """The number under a key of an info, or MISSING or NO_NUMBER; a dot in the key leads into nested dicts.

    Example:
        >>> number_in({"success": True, "costs": {"energy": 0.5}}, "costs.energy")
        0.5
    """
    value: Any = info
    for part in [key] if key in info else key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    try:
        array = np.asarray(value)
        number = float(array.reshape(())) if array.size == 1 and array.dtype.kind in "biuf" else NO_NUMBER
    except Exception:  # noqa: BLE001 - converting a foreign array may raise anything
        return NO_NUMBER
    return number if math.isfinite(number) else NO_NUMBER


def info_of_one(infos: Any, n: int) -> dict[str, Any]:
    """The info of environment n from those of a Gymnasium vector environment: arrays [N], and masks of who has a value.

    Example:
        >>> infos = {"success": [1.0, 0.0], "_success": [True, False]}
        >>> info_of_one(infos, 0), info_of_one(infos, 1)
        ({'success': 1.0}, {})
    """
    if not isinstance(infos, Mapping):
        return {}
    found = {}
    for key, values in infos.items():
        who = infos.get(f"_{key}")
        if isinstance(values, Mapping):
            found[key] = info_of_one(values, n)
        elif hasattr(values, "__len__") and n < len(values) and (who is None or bool(who[n])):
            found[key] = values[n]
    return {key: value for key, value in found.items() if not (key.startswith("_") and key[1:] in infos)}


def faults(keys: Sequence[str], rows: NDArray[np.float64]) -> dict[str, str]:
    """A sentence for each name whose number is missing in some episodes; empty if none is.

    Args:
        keys: M names.
        rows: [episodes, M].
    """
    found = {}
    for key, column in zip(keys, rows.T, strict=True):
        if (column == MISSING).any():
            found[key] = f"the info of an episode's last step has no {key!r} (log_info)"
        elif (column == NO_NUMBER).any():
            found[key] = f"the {key!r} (log_info) in the info of an episode's last step is not a finite number"
    return {key: f"{fault}; such episodes are left out of its mean" for key, fault in found.items()}


def totals(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over the episodes that have a number, and how many have one: rows [episodes, M] -> [2, M].

    Example:
        >>> totals(np.array([[1.0, MISSING], [0.5, NO_NUMBER]])).tolist()
        [[1.5, 0.0], [2.0, 0.0]]
    """
    is_known = np.isfinite(rows)
    return np.array([np.where(is_known, rows, 0.0).sum(0), is_known.sum(0)])


def means(keys: Sequence[str], rows: NDArray[np.float64]) -> dict[str, float]:
    """Means over the episodes that have a number, by name; a name that no episode has is left out.

    Example:
        >>> means(("success", "energy"), np.array([[1.0, MISSING], [0.0, NO_NUMBER]]))
        {'success': 0.5}
    """
    return {key: total / count for key, total, count in zip(keys, *totals(rows).tolist(), strict=True) if count}
