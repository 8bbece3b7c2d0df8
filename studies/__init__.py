"""Studies: the tutorial's claims as experiments, their results beside them."""
