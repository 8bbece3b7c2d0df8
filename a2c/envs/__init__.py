"""What is acted on: one vector interface for environments in this process and in worker processes."""

from __future__ import annotations

from a2c.envs.make import make_env, make_envs
from a2c.envs.vector import Envs, Step

__all__ = ["Envs", "Step", "make_env", "make_envs"]
