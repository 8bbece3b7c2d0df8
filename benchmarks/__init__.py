"""Speed, measured side by side with the alternative in one run; results are committed under results/."""
