"""Compiled arithmetic: pure functions on arrays."""
