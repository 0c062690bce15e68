"""Patients as keyed hashes: who the ledger is about can be told only with the hospital's own key.

A hash without a key would be none: anyone who has the ledger could try all hospital numbers.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround_common.canonical import joined
from wardround_common.errors import StorageError
from wardround_common.storage import read_private, write_atomically

KEY_NAME = "patients.key"
TAG_BYTES = 16
"""HMAC-SHA256 cut to 128 bits (RFC 2104, section 5). Two patients with one tag would count as one who spent both."""
_COHORT = b"wardround ledger cohort 1"


@dataclass(frozen=True)
class Cohort:
    """A set of patients: their tags, sorted, one after the other."""

    tags: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """How many patients."""
        return len(self.tags) // TAG_BYTES

    @property
    def digest(self) -> str:
        """SHA-256 of the set, 64 hexadecimal digits."""
        return hashlib.sha256(joined(_COHORT, self.tags)).hexdigest()

    @property
    def numbers(self) -> NDArray[np.uint64]:
        """The first half of each tag, (patients,): enough to tell patients apart when spending is added up.

        Should two be alike (once in 10⁷ among a million patients), both count as having spent what either did.
        """
        return np.frombuffer(self.tags, ">u8").reshape(-1, 2)[:, 0].astype(np.uint64)


@dataclass(frozen=True)
class PatientKey:
    """The local key under which this hospital hides its patients."""

    secret: bytes = field(repr=False)

    def cohort(self, identifiers: Iterable[str]) -> Cohort:
        """Hide a set of patients, named as the hospital's files name them."""
        hidden = {
            hmac.digest(self.secret, b"patient\n" + name.encode("utf-8", "surrogateescape"), "sha256")[:TAG_BYTES]
            for name in identifiers
        }
        return Cohort(b"".join(sorted(hidden)))

    @property
    def mark(self) -> str:
        """Tell this key from another one, without saying anything of it."""
        return hmac.digest(self.secret, b"mark of the key", "sha256").hex()


def keep_patient_key(state: Path, *, may_make: bool) -> PatientKey:
    """Read the local key, or make it at the ledger's first use.

    Raises:
        StorageError: it cannot be read, others may read it, or it is gone although the ledger is there.
    """
    path = state / KEY_NAME
    if not path.exists() and may_make:
        write_atomically(path, os.urandom(32), private=True)
    try:
        secret = read_private(path, "the key of the ledger's patients", 33)
    except OSError:
        raise _unusable(path, "the key of the ledger's patients is gone or cannot be read") from None
    if len(secret) != 32:
        raise _unusable(path, "the key of the ledger's patients is damaged")
    return PatientKey(secret)


def _unusable(path: Path, what: str) -> StorageError:
    return StorageError(
        what, where=str(path), do="Restore it from your backup: with another key nobody's spending can be found again."
    )
