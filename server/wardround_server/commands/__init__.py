"""``wardround coordinator``, as a coordinator's people type it."""
