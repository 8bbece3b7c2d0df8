"""The networks: their layers as data, the forward pass, and the distribution over actions."""

from __future__ import annotations

from typing import Literal

Activation = Literal["relu", "tanh"]
Initialization = Literal["orthogonal", "xavier"]
Network = Literal["actor", "critic"]
NETWORKS: tuple[Network, ...] = ("actor", "critic")

MOST_REMEMBERED = 4096
"""The largest `memory_size`."""
