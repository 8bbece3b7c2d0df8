"""Environments written as functions that Numba compiles: `CompiledEnv`, and Gymnasium's classic control as such."""
