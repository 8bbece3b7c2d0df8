"""Which a2c this is."""

__version__ = "0.4.0"
