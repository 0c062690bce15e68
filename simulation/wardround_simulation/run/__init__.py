"""A simulated run, from its plan to its report."""
