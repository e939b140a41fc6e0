"""The loop, recipes, checkpoints."""
