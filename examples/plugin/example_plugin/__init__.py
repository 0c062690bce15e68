"""A network, a strategy, a task, a step of preparation, a format and a sink for Wardround, to be copied."""
