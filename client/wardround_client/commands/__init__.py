"""The commands ``wardround hospital`` and ``wardround scan``."""
