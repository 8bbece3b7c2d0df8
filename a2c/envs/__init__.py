"""Environments: one vector interface, whether they run in this process, in worker processes or as machine code.

Importing this package registers the compiled environments with Gymnasium: `gymnasium.make("a2c/CartPole-v1")`.
"""

from __future__ import annotations

from a2c.envs.compiled.classic import register_compiled
from a2c.envs.make import make_env, make_envs
from a2c.envs.vector import Envs, Step

__all__ = ["Envs", "Step", "make_env", "make_envs"]

register_compiled()
