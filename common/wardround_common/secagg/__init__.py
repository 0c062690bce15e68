"""Secure aggregation: what hospitals and coordinator both need. The specification is ``docs/secagg.md``."""
