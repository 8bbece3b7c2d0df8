"""Trains several seeds of the same settings at the same time; each run is what it would be alone."""
