"""A network, a strategy, a task, a step of preparation and a sink for Wardround, to be copied."""
