"""What people write today, to compare with; each file runs by itself and knows nothing of convwise's engine."""
