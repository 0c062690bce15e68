"""A study from its first question to its last round, plain or in secure sums."""
