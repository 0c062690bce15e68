"""The study file: parsed once, checked, explained, written."""
