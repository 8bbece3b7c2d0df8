"""A run and its folder: what is written while it trains, and what can be done with it afterwards."""
