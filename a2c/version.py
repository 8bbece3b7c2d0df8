"""Which a2c this is."""

__version__ = "0.5.0"
