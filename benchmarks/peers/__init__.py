"""What people write and count with today, to compare with."""
