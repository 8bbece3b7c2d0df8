"""Measures speed and learning, beside the alternatives in the same run; results are committed under results/."""
