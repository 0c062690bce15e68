"""A network, a strategy, a task and a sink for Wardround, to be copied."""
