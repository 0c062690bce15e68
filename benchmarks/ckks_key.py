"""What a coordinator that is told CKKS sums learns of the key: all of it.

The attack of Li and Micciancio (*On the security of homomorphic encryption on approximate numbers*, EUROCRYPT 2021,
section 3), on SEAL as TenSEAL brings it, by a coordinator that follows the protocol: it adds ten hospitals' ciphertexts
and is told what the sum decrypts to, so that it can apply the step.

A ciphertext (c0, c1) decrypts to p = c0 + c1·s. The numbers that are told stand for p + p', where p'(X) is p(1/X); they
come with their noise and in double precision, so p + p' is there again when they are encoded. That is an equation in
s and s'; a second ciphertext of the same update gives another, and the two are solved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tenseal import sealapi as seal


class Hospitals:
    """Ten hospitals with one key; the coordinator sees what ``sum`` gives."""

    def __init__(self, degree: int, prime_bits: Sequence[int], scale_bits: int) -> None:
        """Make the key, of 128 bits of security."""
        self.degree, self.scale = degree, 2.0**scale_bits
        primes = seal.CoeffModulus.Create(degree, list(prime_bits))
        self.modulus = primes[0].value()
        settings = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
        settings.set_poly_modulus_degree(degree)
        settings.set_coeff_modulus(primes)
        self._context = seal.SEALContext(settings, True, seal.SEC_LEVEL_TYPE.TC128)
        keys = seal.KeyGenerator(self._context)
        self.secret, self._public = keys.secret_key(), seal.PublicKey()
        keys.create_public_key(self._public)
        self.encoder = seal.CKKSEncoder(self._context)

    def sum(self, rng: np.random.Generator) -> tuple[Any, list[float]]:
        """Encrypt ten vectors and add them: the sum's ciphertext and what it decrypts to."""
        encryptor, evaluator = seal.Encryptor(self._context, self._public), seal.Evaluator(self._context)
        total = None
        for _ in range(10):
            plain, upload = seal.Plaintext(), seal.Ciphertext()
            self.encoder.encode(rng.uniform(-1, 1, self.degree // 2).tolist(), self.scale, plain)
            encryptor.encrypt(plain, upload)
            if total is None:
                total = upload
            else:
                evaluator.add_inplace(total, upload)
        plain = seal.Plaintext()
        seal.Decryptor(self._context, self.secret).decrypt(total, plain)
        return total, self.encoder.decode_double(plain)


def key_found(degree: int, prime_bits: Sequence[int], scale_bits: int) -> float:
    """Return the part of the secret key's numbers that two ciphertexts of one summed update give away."""
    hospitals, rng = Hospitals(degree, prime_bits, scale_bits), np.random.default_rng(0)
    q = hospitals.modulus
    # Polynomials by their values at roots of unity: p' has at a place what p has at the same place from the end.
    equations = []
    for _ in range(2):
        total, told = hospitals.sum(rng)
        twice = seal.Plaintext()
        hospitals.encoder.encode([2 * number for number in told], hospitals.scale, twice)
        values = total.dyn_array()
        c0, c1 = _taken(values, 0, degree), _taken(values, degree, degree)
        real = _taken(twice.dyn_array(), 0, degree)
        equations.append((c1, [(p - a - b) % q for p, a, b in zip(real, c0, reversed(c0), strict=True)]))
    (first, right), (second, other) = equations
    secret, found = _taken(hospitals.secret.data().dyn_array(), 0, degree), 0
    for k in range(degree // 2):
        j = degree - 1 - k
        over = first[k] * second[j] - first[j] * second[k]
        if over % q:
            inverse = pow(over, -1, q)
            found += (right[k] * second[j] - other[k] * first[j]) * inverse % q == secret[k]
            found += (other[k] * first[k] - right[k] * second[k]) * inverse % q == secret[j]
    return found / degree


def _taken(values: Any, start: int, count: int) -> list[int]:
    return [values[start + k] for k in range(count)]


if __name__ == "__main__":
    print(f"of the secret key's numbers, found: {key_found(4096, (30, 30), 24):.4f}")
