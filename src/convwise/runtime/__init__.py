"""A frozen network run as fast as this machine can: graph export, feature cache, measured latency."""
