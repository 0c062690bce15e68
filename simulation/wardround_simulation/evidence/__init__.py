"""The evidence pack of a released model: what it is, what it cost in privacy, and how attacks on it went."""
