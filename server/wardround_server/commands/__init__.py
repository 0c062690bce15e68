"""The command ``wardround coordinator``."""
