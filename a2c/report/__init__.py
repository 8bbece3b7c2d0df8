"""Reads run folders and turns them into curves, statistics and reports, as data. `a2c.commands` draws them."""
