"""A round's local work, with and without differential privacy, and the probes before it."""
