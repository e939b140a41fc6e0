"""Folder, CSV, IDX -> samples -> pixels -> batches: hashes, roles, decoding, preprocessing."""
