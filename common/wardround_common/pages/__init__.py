"""The pages that a service shows its own staff, in a browser on its machine (docs/pages.md)."""
