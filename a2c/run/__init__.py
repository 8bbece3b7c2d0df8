"""A run and its folder: what training writes into it, and what can be done with it afterwards."""
