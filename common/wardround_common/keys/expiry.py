"""When people are warned that a certificate expires; health checks need this and no cryptography."""

from __future__ import annotations

WARN_DAYS = 31
