"""Several seeds of one setting, trained at the same time, each as it would be alone."""
