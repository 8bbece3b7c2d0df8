"""How the presets were found: studies of one setting after another, on seeds that nothing is reported on."""
