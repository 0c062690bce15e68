"""A network, a strategy and a task for Wardround, to be copied."""
