"""The verbs of the command line. Each is a dataclass: its fields are the flags, and `run` carries it out."""
