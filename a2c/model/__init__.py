"""What a network is, as data: what it sees, its layers, what it decides."""

from __future__ import annotations

from typing import Literal

Activation = Literal["relu", "tanh"]
Initialization = Literal["orthogonal", "xavier"]
Network = Literal["actor", "critic"]
NETWORKS: tuple[Network, ...] = ("actor", "critic")

MOST_REMEMBERED = 4096
"""Numbers that a policy remembers, at most."""
