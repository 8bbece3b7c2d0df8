"""Compiled arithmetic: functions on arrays, which Numba turns into machine code."""
