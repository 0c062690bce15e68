"""``wardround hospital`` and ``wardround scan``, as a hospital's people type them."""
