"""Tuning: the space of settings, a trial, a study of many trials, and the comparison on unseen seeds."""
