"""Environments as compiled functions: the public form, and classic control in it."""
