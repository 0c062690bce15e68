"""Homomorphic encryption beside our masks: TenSEAL's CKKS and BFV, one of ten hospitals, 11 million parameters.

One key encrypts and another one decrypts, as TenSEAL has it; who would hold the latter is not measured here
(docs/adr/0009-homomorphic-encryption.md). Ours and theirs in one run, in processor time, so that what else the machine
does counts for neither; ciphertext after ciphertext, so that memory is that of one. The figures join those of
``secagg.py``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tenseal
from numpy.typing import NDArray
from rich.progress import track

from ckks_key import key_found
from measure import known, report
from secagg import PARAMETERS, Group
from wardround_common.randomness import insecure_stream
from wardround_common.secagg.encoding import Encoding
from wardround_common.secagg.exchange import Masked

HOSPITALS = 10
CLIP, WEIGHT = 0.05, 1000
MEANINGS = {
    "mask_upload_s": "ours, 16-bit ring: encode, mask, share, seal and sign one upload",
    "mask_add_s": "ours: the coordinator checks and adds one upload",
    "mask_bits": "ours: accurate bits of a sum of ten, -log2(largest error / update_clip)",
}
OF_EACH = {
    "bits": "accurate bits of a sum of ten",
    "bytes_over_float32": "one upload over the update as float32",
    "encrypt_over_mask": "time to encode, encrypt and write one upload, over ours",
    "add_over_mask": "the coordinator's time to read and add one upload, over ours",
    "decrypt_s": "decrypt the sum",
    "key_found": "part of the secret key that a coordinator works out from two decrypted ciphertexts of a sum",
}
NAMED = {
    "ckks": "CKKS, degree 8192, 60 bits",
    "ckks_small": "CKKS, degree 4096, 30 bits",
    "ckks_readme": "CKKS as in TenSEAL's README, with room to multiply",
    "bfv": "BFV, degree 4096, 40 bits",
}


@dataclass(frozen=True)
class Ckks:
    """Real numbers in half as many slots as the polynomial has coefficients; sums are approximate."""

    degree: int
    primes: tuple[int, ...]
    """Bits of each; the last is for keys only."""
    scale_bits: int

    @property
    def slots(self) -> int:
        """Numbers in one ciphertext."""
        return self.degree // 2

    def context(self) -> Any:
        """Make keys, of 128 bits of security."""
        made = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS, self.degree, coeff_mod_bit_sizes=list(self.primes), n_threads=1
        )
        made.global_scale = 2.0**self.scale_bits
        return made

    def encrypt(self, context: Any, part: NDArray[Any]) -> Any:
        """Encrypt numbers between -1 and 1."""
        return tenseal.ckks_vector(context, part)

    def read(self, context: Any, written: bytes) -> Any:
        """Read a ciphertext."""
        return tenseal.ckks_vector_from(context, written)

    def values(self, decrypted: list[float]) -> NDArray[np.float64]:
        """Return numbers from what was decrypted."""
        return np.asarray(decrypted)


@dataclass(frozen=True)
class Bfv:
    """Integers modulo a prime, one for each coefficient; sums are exact."""

    degree: int
    primes: tuple[int, ...]
    modulus: int

    @property
    def slots(self) -> int:
        """Numbers in one ciphertext."""
        return self.degree

    @property
    def levels(self) -> int:
        """The largest integer of one hospital, so that the sum of ten does not wrap."""
        return (self.modulus - 1) // 2 // HOSPITALS

    def context(self) -> Any:
        """Make keys, of 128 bits of security."""
        kind = tenseal.SCHEME_TYPE.BFV
        return tenseal.context(kind, self.degree, self.modulus, list(self.primes), n_threads=1)

    def encrypt(self, context: Any, part: NDArray[Any]) -> Any:
        """Encrypt numbers between -1 and 1, rounded to levels."""
        return tenseal.bfv_vector(context, np.rint(part * self.levels).astype(np.int64).tolist())

    def read(self, context: Any, written: bytes) -> Any:
        """Read a ciphertext."""
        return tenseal.bfv_vector_from(context, written)

    def values(self, decrypted: list[int]) -> NDArray[np.float64]:
        """Return numbers from what was decrypted."""
        return np.asarray(decrypted) / self.levels


FORMS: dict[str, Ckks | Bfv] = {
    "ckks": Ckks(8192, (60, 60), 40),
    "ckks_small": Ckks(4096, (30, 30), 24),
    "ckks_readme": Ckks(8192, (60, 40, 40, 60), 40),
    "bfv": Bfv(4096, (40, 40), 1032193),
}


def mask_figures(updates: NDArray[np.float32]) -> dict[str, float]:
    """Time our upload and its addition, best of three, and the accuracy of ten hospitals' sum."""
    group, encoding = Group(HOSPITALS), Encoding(HOSPITALS, 16, CLIP, WEIGHT)
    upload_s, add_s = [], []
    for _ in range(3):
        vector = group.vector(PARAMETERS)
        began = time.process_time()
        vector.update[:] = encoding.encode(updates[0], WEIGHT, insecure_stream(0))
        upload = group.who[4].upload(group.terms, vector, os.urandom)
        upload_s.append(time.process_time() - began)
        received = replace(
            upload, masked=Masked(upload.masked.update.copy(), upload.masked.counts.copy())
        )  # not yet hashed
        gathering = group.gathering(PARAMETERS)
        began = time.process_time()
        gathering.add(group.who[4].name, received)
        add_s.append(time.process_time() - began)
    few = updates[:, :4096]
    total = sum(encoding.encode(one, WEIGHT, insecure_stream(place)).astype("<u2") for place, one in enumerate(few))
    found = encoding.decode(np.asarray(total, "<u2")) / (CLIP * WEIGHT)
    return {"mask_upload_s": min(upload_s), "mask_add_s": min(add_s), "mask_bits": bits(found, few)}


def bits(found: NDArray[np.float64], updates: NDArray[np.float32]) -> float:
    """Return how many fractional bits of a sum are right, in units of the clip."""
    return -float(np.log2(np.abs(found - updates.astype(np.float64).clip(-CLIP, CLIP).sum(axis=0) / CLIP).max()))


def form_figures(name: str, form: Ckks | Bfv, updates: NDArray[np.float32], ours: dict[str, float]) -> dict[str, float]:
    """Encrypt one hospital's whole update, add it and decrypt it; then check a sum of ten hospitals."""
    context = form.context()
    few = updates[:, : form.slots]
    written = [form.encrypt(context, one / CLIP).serialize() for one in few.clip(-CLIP, CLIP)]
    total = form.read(context, written[0])
    for other in written[1:]:
        total = total + form.read(context, other)
    figures = {f"{name}_bits": bits(form.values(total.decrypt()), few)}

    sent, seconds = 0, dict.fromkeys(("encrypt", "add", "decrypt"), 0.0)

    def timed(what: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        made = work()
        seconds[what] += time.process_time() - began
        return made

    for start in track(range(0, PARAMETERS, form.slots), description=name):
        part = updates[0, start : start + form.slots]
        content = timed("encrypt", lambda part=part: form.encrypt(context, part.clip(-CLIP, CLIP) / CLIP).serialize())
        sent += len(content)
        running = form.read(context, content)
        added = timed("add", lambda running=running, content=content: running + form.read(context, content))
        timed("decrypt", added.decrypt)
    return figures | {
        f"{name}_bytes_over_float32": sent / updates[0].nbytes,
        f"{name}_encrypt_over_mask": seconds["encrypt"] / ours["mask_upload_s"],
        f"{name}_add_over_mask": seconds["add"] / ours["mask_add_s"],
        f"{name}_decrypt_s": seconds["decrypt"],
    }


def figures() -> dict[str, float]:
    """Measure ours, then each form."""
    few = max(form.slots for form in FORMS.values())
    rng = np.random.default_rng(0)
    updates = np.zeros((HOSPITALS, PARAMETERS), np.float32)  # pages that are never written take no memory
    updates[0] = rng.normal(0, 0.01, PARAMETERS)
    updates[1:, :few] = rng.normal(0, 0.01, (HOSPITALS - 1, few))
    made = mask_figures(updates)
    for name, form in FORMS.items():
        made |= form_figures(name, form, updates, made)
        if isinstance(form, Ckks) and len(form.primes) == 2:
            made[f"{name}_key_found"] = key_found(form.degree, form.primes, form.scale_bits)
    return made


if __name__ == "__main__":
    for form, words in NAMED.items():
        MEANINGS |= {f"{form}_{figure}": f"{words}: {meaning}" for figure, meaning in OF_EACH.items()}
    report("secagg", known("secagg") | figures(), MEANINGS)
