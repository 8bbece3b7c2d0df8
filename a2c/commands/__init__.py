"""The verbs of the command line: a dataclass each, whose fields are its flags and whose `run` does it."""
