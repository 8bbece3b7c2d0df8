"""Settings found by trying: what may be tried, a trial, a study of many, and what it comes to on seeds never seen."""
