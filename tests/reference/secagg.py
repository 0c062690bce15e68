"""Secure aggregation by the book: slow, from docs/secagg.md alone, imports nothing of Wardround.

Run it to write the vectors anew: ``python tests/reference/secagg.py > tests/reference/secagg.json``. Random bytes are
SHA-256 of a counter under a hospital's label, drawn in this order: the self-mask seed; the seed of the coefficients, by
secret, power from x^1 on, and word; the check seed; for each holder a nonce.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

P = 65537
TAG = b"wardround secagg 1"


def joined(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(joined(TAG, *parts)).digest()


def random_of(label: str) -> Any:
    state = {"counter": 0}

    def draw(size: int) -> bytes:
        out = b""
        while len(out) < size:
            out += hashlib.sha256(f"{label} {state['counter']}".encode()).digest()
            state["counter"] += 1
        return out[:size]

    return draw


def hkdf(secret: bytes, info: bytes) -> bytes:
    extracted = hmac.digest(TAG, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def keystream(seed: bytes, segment: int, size: int) -> bytes:
    """GCM's keystream (NIST SP 800-38D, 6.5): the counter stands behind the nonce and begins at 2."""
    aes = Cipher(algorithms.AES256(seed), modes.ECB()).encryptor()  # noqa: S305  # the counter mode is built of it
    out = b""
    while len(out) < size:
        nonce = segment.to_bytes(4, "big") + (len(out) >> 18).to_bytes(8, "big")
        counter = 2 + (len(out) % 2**18) // 16
        out += aes.update(nonce + counter.to_bytes(4, "big"))
    return out[:size]


def circle(ours: int, count: int, t: int) -> list[int]:
    """Section 6: everybody up to 20, else the next t, made even, on both sides of a circle."""
    reach = (t + t % 2) // 2
    if count <= 20 or 2 * reach >= count - 1:
        return list(range(count))
    return sorted({(ours + step) % count for step in range(-reach, reach + 1)})


def masks(vector: list[int], width: int, segment: int, signed: list[tuple[int, bytes]]) -> list[int]:
    for sign, seed in signed:
        stream = keystream(seed, segment, len(vector) * width)
        numbers = [int.from_bytes(stream[k * width : (k + 1) * width], "little") for k in range(len(vector))]
        vector = [(value + sign * number) % 256**width for value, number in zip(vector, numbers, strict=True)]
    return vector


def numbers_of(seed: bytes, count: int) -> list[int]:
    """The first 32-bit numbers of a seed's keystream."""
    stream = keystream(seed, 0, 4 * count)
    return [int.from_bytes(stream[k : k + 4], "little") for k in range(0, 4 * count, 4)]


def values_at(point: int, powers: list[list[int]]) -> list[int]:
    """The words' polynomials at a point; ``powers``: of each power of x the words' coefficients."""
    return [sum(of_power[word] * point**power for power, of_power in enumerate(powers)) % P for word in range(16)]


def share_of(words: list[int]) -> bytes:
    """Section 4: two bytes that mark the words that are 65,536, then the 16 words, of those that are marked zeros."""
    marks = sum(1 << (15 - k) for k, word in enumerate(words) if word == 65536)
    return marks.to_bytes(2, "big") + b"".join((word % 65536).to_bytes(2, "big") for word in words)


def tags_of(words: list[int], factors: list[int], pads: list[int]) -> bytes:
    """Section 4: two sums modulo 2^31 - 1; the factors of both stand side by side, word by word."""
    found = [sum(word * factors[2 * k + j] for k, word in enumerate(words)) + pads[j] for j in range(2)]
    return b"".join((number % (2**31 - 1)).to_bytes(4, "big") for number in found)


def upload(case: dict[str, Any], ours: int) -> dict[str, Any]:
    names, count, t = case["names"], len(case["names"]), case["threshold"]
    study, run = case["study"].encode(), bytes.fromhex(case["run"])
    keys = [X25519PrivateKey.from_private_bytes(bytes.fromhex(key)) for key in case["keys"]]
    ids = [Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key)) for key in case["identities"]]
    public = [key.public_key().public_bytes_raw() for key in keys]
    roster = sha(
        b"roster",
        *[b for n, i in zip(names, ids, strict=True) for b in (n.encode(), i.public_key().public_bytes_raw())],
    )
    members = [part for name, key in zip(names, public, strict=True) for part in (name.encode(), key)]
    numbers = (str(case["round"]).encode(), str(t).encode())
    terms = sha(b"terms 3", study, run, b"train", *numbers, bytes.fromhex(case["question"]), roster, *members)
    draw = random_of(names[ours])

    def secret(other: int, role: bytes, places: tuple[int, int]) -> bytes:
        return hkdf(
            keys[ours].exchange(X25519PublicKey.from_public_bytes(public[other])), joined(role, terms, bytes(places))
        )

    own = draw(32)
    around = circle(ours, count, t)
    needed = t if len(around) == count else 2 * t - count
    seeds = [own if k == ours else secret(k, b"mask", (min(k, ours), max(k, ours))) for k in around]
    signed = [(1 if k >= ours else -1, seed) for k, seed in zip(around, seeds, strict=True)]
    update = masks(case["updates"][ours], 4, 0, signed)
    counts = masks(case["counts"][ours], 8, 1, signed)
    coefficients = numbers_of(draw(32), 16 * len(seeds) * (needed - 1))
    if 2**32 - 1 in coefficients:
        raise ValueError("choose another label: one coefficient would be drawn again")
    points = []  # by secret, holder and word
    for seed in seeds:
        powers = [[int.from_bytes(seed[k : k + 2], "big") for k in range(0, 32, 2)]]
        for _ in range(needed - 1):
            powers.append(coefficients[:16])
            del coefficients[:16]
        points.append([values_at(holder + 1, powers) for holder in around])
    check = draw(32)
    keys_of_check = [number % 2**31 for number in numbers_of(check, 2 * len(around) * (16 + len(around)))]
    if 2**31 - 1 in keys_of_check:
        raise ValueError("choose another label: the check seed would be drawn again")
    sealed = []
    for k, holder in enumerate(around):
        nonce = draw(12)
        key = secret(holder, b"seal", (ours, holder))
        bundle = b""
        for place in range(len(around)):
            factors = keys_of_check[32 * k : 32 * k + 32]
            pads = keys_of_check[32 * len(around) + 2 * (k * len(around) + place) :][:2]
            bundle += share_of(points[place][k]) + tags_of(points[place][k], factors, pads)
        sealed.append(nonce + ChaCha20Poly1305(key).encrypt(nonce, bundle, terms + bytes((ours, holder))))
    of_seeds = [sha(b"seed", terms, bytes((ours, place)), seed) for place, seed in zip(around, seeds, strict=True)]
    dealt = b"".join([*sealed, check, *of_seeds])
    raw = [b"".join(v.to_bytes(w, "little") for v in vector) for vector, w in ((update, 4), (counts, 8))]
    vector = sha(b"vector", b"<u4", *[hashlib.sha256(part).digest() for part in raw])
    head = sha(b"upload", vector, dealt)
    signature = ids[ours].sign(joined(TAG, b"upload", terms, bytes((ours,)), head))
    return {
        "terms": terms.hex(),
        "update": raw[0].hex(),
        "counts": raw[1].hex(),
        "envelope": (dealt + head + signature).hex(),
        "member": (
            public[ours] + ids[ours].sign(joined(TAG, b"key", study, run, names[ours].encode(), public[ours]))
        ).hex(),
    }


def confirmations(case: dict[str, Any]) -> list[str]:
    """The signatures of the survivors, who are those whose uploads the case has, under their list."""
    terms = bytes.fromhex(case["uploads"][0]["terms"])
    heads = [bytes.fromhex(made["envelope"])[-96:-64] for made in case["uploads"]]
    listed = [part for place, head in zip(case["places"], heads, strict=True) for part in (bytes((place,)), head)]
    statement = joined(TAG, b"survivors", sha(b"survivors", terms, *listed))
    ids = [Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key)) for key in case["identities"]]
    return [ids[place].sign(statement).hex() for place in case["places"]]


def case(names: list[str], threshold: int, of: list[int] | None = None) -> dict[str, Any]:
    """A cohort's uploads, or those of some of its places."""
    made: dict[str, Any] = {
        "names": names,
        "threshold": threshold,
        "study": hashlib.sha256(b"a study").hexdigest(),
        "run": bytes(range(16)).hex(),
        "round": 3,
        "question": hashlib.sha256(b"a question").hexdigest(),
        "keys": [hashlib.sha256(f"key {name}".encode()).hexdigest() for name in names],
        "identities": [hashlib.sha256(f"identity {name}".encode()).hexdigest() for name in names],
        "updates": [[(k * 2654435761 + 7 * place) % 2**32 for k in range(5)] for place in range(len(names))],
        "counts": [[place, 2**55 + place, 0] for place in range(len(names))],
    }
    made["places"] = list(range(len(names))) if of is None else of
    made["uploads"] = [upload(made, place) for place in made["places"]]
    made["confirmations"] = confirmations(made)
    return made


def refused() -> list[dict[str, str]]:
    """Cohorts in the wire form that a hospital must refuse, each with one defect."""
    good = case(["a", "b", "c"], 2)

    def wire(entries: list[tuple[str, str]], count: int | None = None) -> bytes:
        listed = [len(n.encode()).to_bytes(2, "big") + n.encode() + bytes.fromhex(m) for n, m in entries]
        return (len(entries) if count is None else count).to_bytes(2, "big") + b"".join(listed)

    of = [(name, made["member"]) for name, made in zip(good["names"], good["uploads"], strict=True)]
    flipped = of[1][1][:-1] + ("0" if of[1][1][-1] != "0" else "1")
    defects = {
        "cut short": wire(of)[:-1],
        "a byte after the end": wire(of) + b"\0",
        "a count of 65535": wire(of, 65535),
        "one more than there are": wire(of, 4),
        "out of order": wire([of[1], of[0], of[2]]),
        "a hospital twice": wire([of[0], of[0], of[1], of[2]]),
        "anothers signature": wire([of[0], (of[1][0], of[1][1][:64] + of[0][1][64:]), of[2]]),
        "a bit of a signature flipped": wire([of[0], (of[1][0], flipped), of[2]]),
        "a stranger": wire([*of, ("z", of[0][1])]),
        "anothers key": wire([of[0], (of[1][0], of[0][1]), of[2]]),
        "a name that is not UTF-8": wire(of).replace(b"\x00\x01b", b"\x00\x01\xff"),
    }
    return [{"defect": defect, "cohort": content.hex()} for defect, content in defects.items()]


if __name__ == "__main__":
    cases = [case(["a", "b", "c"], 2), case(["hôpital", "ward", "zürich"], 3)]
    cases.append(case([f"{k:02d}" for k in range(21)], 11, [0, 13]))
    print(json.dumps({"uploads": cases, "refused": refused()}, indent=1))  # noqa: T201
