"""What a policy is exported as."""
