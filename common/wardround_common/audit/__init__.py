"""The tamper-evident audit log that hospital and coordinator each keep (docs/audit.md)."""
