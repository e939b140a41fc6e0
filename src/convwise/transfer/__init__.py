"""Head on features, freezing, the ladder."""
