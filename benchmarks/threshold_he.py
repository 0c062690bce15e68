"""Threshold homomorphic encryption with OpenFHE: ten hospitals that hold a part of the key each.

It needs ``pip install openfhe rich`` in an environment of its own: each of OpenFHE's wheels for Linux is for one Python
and one Ubuntu (1.6.1.0.22.4: Python 3.10; 1.6.1.0.24.4: Python 3.12), whatever its name says. A few ciphertexts are
timed, in processor time, and taken as often as 11 million numbers need them. The last figure is an attack: see
``cancelled``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import openfhe

from measure import report

HOSPITALS, PARAMETERS = 10, 11_000_000
MODULUS = 1032193
LEVELS = (MODULUS - 1) // 2 // HOSPITALS
OF_EACH = {
    "upload_bytes_over_float32": "one hospital's ciphertexts over its update as float32",
    "share_bytes_over_float32": "one hospital's part of the decryption over the same",
    "encrypt_s": "encode and encrypt 11 million numbers",
    "share_s": "one hospital's part of the decryption",
    "open_s": "put the parts of ten hospitals together",
    "cancelled": "1: one hospital that lies opened another one's numbers",
}
NAMED = {"bfv": "threshold BFV with noise flooding", "ckks": "threshold CKKS, 40-bit scale"}


@dataclass(frozen=True)
class Scheme:
    """A context, its slots, and how numbers become plaintexts and back."""

    context: Any
    slots: int
    plain: Callable[[list[int]], Any]
    numbers: Callable[[Any], list[int]]


def bfv() -> Scheme:
    """Integers; each hospital's part of the decryption drowns the noise that depends on the key."""
    wanted = openfhe.CCParamsBFVRNS()
    wanted.SetPlaintextModulus(MODULUS)
    wanted.SetMultipartyMode(openfhe.NOISE_FLOODING_MULTIPARTY)
    wanted.SetThresholdNumOfParties(HOSPITALS)
    context = made(wanted)
    return Scheme(context, context.GetRingDimension(), context.MakePackedPlaintext, lambda p: p.GetPackedValue())


def ckks() -> Scheme:
    """Real numbers, here levels over LEVELS."""
    wanted = openfhe.CCParamsCKKSRNS()
    wanted.SetScalingModSize(40)
    context = made(wanted)
    return Scheme(
        context,
        context.GetRingDimension() // 2,
        lambda levels: context.MakeCKKSPackedPlaintext([level / LEVELS for level in levels]),
        lambda p: [round(value * LEVELS) for value in p.GetRealPackedValue()],
    )


def made(wanted: Any) -> Any:
    """Make a context of 128 bits of security for sums only."""
    wanted.SetMultiplicativeDepth(0)
    wanted.SetSecurityLevel(openfhe.HEStd_128_classic)
    context = openfhe.GenCryptoContext(wanted)
    for feature in (openfhe.PKE, openfhe.KEYSWITCH, openfhe.LEVELEDSHE, openfhe.ADVANCEDSHE, openfhe.MULTIPARTY):
        context.Enable(feature)
    return context


def opened(scheme: Scheme, keys: list[Any], total: Any) -> tuple[list[int], Any, float, float]:
    """Decrypt with all hospitals: the numbers, one hospital's part, its seconds, those of putting them together."""
    began = time.process_time()
    parts = [
        (scheme.context.MultipartyDecryptMain if place else scheme.context.MultipartyDecryptLead)(
            [total], key.secretKey
        )[0]
        for place, key in enumerate(keys)
    ]
    between = time.process_time()
    plain = scheme.context.MultipartyDecryptFusion(parts)
    plain.SetLength(scheme.slots)
    done = time.process_time()
    return scheme.numbers(plain), parts[1], (between - began) / len(keys), done - between


def figures(scheme: Scheme) -> dict[str, float]:
    """Make keys in turn, encrypt, add, decrypt together, and let one hospital lie."""
    context, times = scheme.context, PARAMETERS / scheme.slots
    keys = [context.KeyGen()]
    while len(keys) < HOSPITALS:
        keys.append(context.MultipartyKeyGen(keys[-1].publicKey))
    public = keys[-1].publicKey
    updates = [[(37 * place + 11 * slot) % 2000 - 1000 for slot in range(scheme.slots)] for place in range(HOSPITALS)]
    began = time.process_time()
    uploads = [context.Encrypt(public, scheme.plain(update)) for update in updates]
    encrypt_s = (time.process_time() - began) / HOSPITALS
    numbers, part, share_s, open_s = opened(scheme, keys, added(context, uploads))
    if numbers != [sum(column) for column in zip(*updates, strict=True)]:
        raise SystemExit("the sum is wrong")
    size = 4 * scheme.slots
    return {
        "upload_bytes_over_float32": len(openfhe.Serialize(uploads[0], openfhe.BINARY)) / size,
        "share_bytes_over_float32": len(openfhe.Serialize(part, openfhe.BINARY)) / size,
        "encrypt_s": encrypt_s * times,
        "share_s": share_s * times,
        "open_s": open_s * times,
        "cancelled": float(cancelled(scheme, keys, uploads, updates)),
    }


def added(context: Any, uploads: list[Any]) -> Any:
    """Add ciphertexts."""
    total = uploads[0]
    for upload in uploads[1:]:
        total = context.EvalAdd(total, upload)
    return total


def cancelled(scheme: Scheme, keys: list[Any], uploads: list[Any], updates: list[list[int]]) -> bool:
    """Say whether the last hospital reads the first one's numbers although all ten were added, in good order.

    A coordinator on its side shows it the other uploads before it makes its own: an encryption of zero, less eight of
    them. Everybody then opens a sum over ten uploads, each signed by its hospital, and it is the first one's update.
    """
    context = scheme.context
    ours = context.Encrypt(keys[-1].publicKey, scheme.plain([0] * scheme.slots))
    for other in uploads[1:-1]:
        ours = context.EvalSub(ours, other)
    numbers, *_ = opened(scheme, keys, added(context, [*uploads[:-1], ours]))
    return numbers == updates[0]


if __name__ == "__main__":
    found, meanings = {}, {}
    for name, scheme in (("bfv", bfv()), ("ckks", ckks())):
        for figure, value in figures(scheme).items():
            found[f"{name}_{figure}"] = value
            meanings[f"{name}_{figure}"] = f"{NAMED[name]}: {OF_EACH[figure]}"
    report("threshold_he", found, meanings)
