"""Laws of the parts of secure aggregation, each against a slow and obvious twin."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wardround_common.canonical import cut, joined, pieces
from wardround_common.errors import MessageError, ModelError, RoundError
from wardround_common.keys.identity import Identity, Roster, check_signature, fingerprint
from wardround_common.randomness import insecure_stream
from wardround_common.secagg import shamir
from wardround_common.secagg import tags as module
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.encoding import COUNT_LIMIT, Encoding, decode_counts, encode_counts
from wardround_common.secagg.masks import BLOCK_BYTES, add_masks, keystream
from wardround_common.secagg.sealing import seal, unseal
from wardround_common.secagg.shamir import (
    PRIME,
    SHARE_BYTES,
    combine,
    evaluate,
    read_shares,
    split,
    split_many,
    uniform,
    weights,
    write_shares,
)
from wardround_common.secagg.tags import TAG_BYTES, CheckKeys, tags
from wardround_common.secagg.thresholds import LARGEST_COHORT, default_threshold


def test_the_field_is_a_prime_that_holds_every_word_and_every_hospital() -> None:
    assert all(PRIME % factor for factor in range(2, 257))
    assert PRIME > 2**16 > LARGEST_COHORT


def test_coefficients_take_each_value_of_the_field_exactly_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but one of the 32-bit numbers are 65,535 whole runs through the field; that one is drawn again."""
    assert (PRIME - 2) * PRIME == 2**32 - 1
    numbers = [0, 1, PRIME - 1, PRIME, 2**31, 2**32 - 1, 2**32 - 2]
    monkeypatch.setattr(shamir, "keystream", lambda seed, count: np.array(numbers, np.uint32))
    waiting = [bytes(32), b"\xff" * 4, (7).to_bytes(4, "little")]
    drawn = uniform(len(numbers), lambda size: waiting.pop(0))
    assert not waiting
    assert (drawn % PRIME).tolist() == [number % PRIME for number in [*numbers[:5], 7, numbers[6]]]


def test_many_secrets_are_split_as_each_by_the_slow_definition() -> None:
    secrets, threshold, holders = [os.urandom(32) for _ in range(3)], 4, (0, 7, 9, 99, LARGEST_COHORT - 1)
    seed = os.urandom(32)
    drawn = keystream(seed, 16 * len(secrets) * (threshold - 1)).reshape(len(secrets), threshold - 1, 16).tolist()
    shares = split_many(secrets, threshold, holders, lambda size: seed)
    for place, secret in enumerate(secrets):
        for word in range(16):
            coefficients = [int.from_bytes(secret[2 * word :][:2], "big"), *(row[word] for row in drawn[place])]
            for at, holder in enumerate(holders):
                value = sum(one * (holder + 1) ** power for power, one in enumerate(coefficients)) % PRIME
                assert shares[at, place, word] == value
                assert read_shares(write_shares(shares[at]))[0][place, word] == value


@given(st.lists(st.integers(1 - PRIME, PRIME - 1), min_size=2, max_size=90), st.integers(0, LARGEST_COHORT - 1))
def test_values_are_those_of_whole_numbers_also_where_they_are_multiples_of_the_field(
    coefficients: list[int], holder: int
) -> None:
    """A multiple of the prime is where a rounded quotient would be off by one."""
    value = sum(one * pow(holder + 1, power, PRIME) for power, one in enumerate(coefficients)) % PRIME
    multiple = [coefficients[0] - value, *coefficients[1:]]
    given_ = np.array([coefficients, multiple], np.float64).T[None]  # (1, threshold, 2 words)
    assert evaluate(given_, [holder])[0, 0].tolist() == [value, 0]


def test_the_one_element_that_sixteen_bits_do_not_hold_is_written_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The polynomial 65,535 + x is 65,536 at the first holder's point, and 0 at the second's."""
    monkeypatch.setattr(shamir, "keystream", lambda seed, count: np.ones(count, np.uint32))
    first, second = split(b"\xff" * 32, 2, (0, 1), os.urandom)
    assert first == b"\xff\xff" + bytes(32)
    assert second == bytes(SHARE_BYTES)
    assert combine({0: first, 1: second}, weights([0, 1])) == b"\xff" * 32


def test_shares_that_add_up_to_no_word_are_refused() -> None:
    """65,536 as the constant term: no secret has such a word, so somebody made the shares up."""
    last = b"\xff\xff" + bytes(32)
    with pytest.raises(MessageError, match="do not belong together"):
        combine({0: last, 1: last}, weights([0, 1]))


@given(st.binary(min_size=32, max_size=32), st.integers(2, 6), st.integers(0, 3))
def test_any_threshold_of_the_shares_give_the_secret(secret: bytes, threshold: int, more: int) -> None:
    shares = split(secret, threshold, range(threshold + more), os.urandom)
    for holders in itertools.combinations(range(len(shares)), threshold):
        assert combine({holder: shares[holder] for holder in holders}, weights(holders)) == secret


def test_fewer_shares_than_the_threshold_say_nothing() -> None:
    """For every other secret there are coefficients that give the very same shares: t - 1 of them fit anything."""
    shares = split(b"s" * 32, 3, range(5), os.urandom)
    numbers = read_shares(np.frombuffer(b"".join(shares), np.uint8).reshape(5, SHARE_BYTES))[0].tolist()
    for other in (bytes(32), b"\xff" * 32, os.urandom(32)):
        # For each word the polynomial through (0, other) and two of the shares; the third share is free.
        third = []
        for word in range(16):
            points = {0: int.from_bytes(other[2 * word :][:2], "big")}
            points |= {place: numbers[place - 1][word] for place in (1, 2)}
            third.append(_at(points, 3))
        assert combine({0: shares[0], 1: shares[1], 2: _written(third)}, weights([0, 1, 2])) == other


def _written(words: list[int]) -> bytes:
    marks = sum((word == PRIME - 1) << (15 - at) for at, word in enumerate(words))
    return marks.to_bytes(2, "big") + b"".join((word % 2**16).to_bytes(2, "big") for word in words)


def _at(points: dict[int, int], place: int) -> int:
    total = 0
    for one, value in points.items():
        term = value
        for other in points:
            if other != one:
                term = term * (place - other) * pow(one - other, -1, PRIME) % PRIME
        total += term
    return total % PRIME


@pytest.mark.parametrize("share", [b"", bytes(32), bytes(33), bytes(35), b"\xff" * SHARE_BYTES, b"\0\1" + b"\1" * 32])
def test_what_is_no_elements_of_the_field_is_no_share(share: bytes) -> None:
    with pytest.raises(MessageError, match="not elements of the field"):
        combine({0: share, 1: bytes(SHARE_BYTES)}, weights([0, 1]))


Q = 2**31 - 1  # of the tags


@given(st.integers(1, 6), st.data())
def test_tags_are_the_sums_of_the_slow_definition(circle: int, data: st.DataObject) -> None:
    """The largest numbers and factors included: they must be exact in float64."""
    seed = data.draw(st.binary(min_size=32, max_size=32))
    keys = CheckKeys.of(seed, circle)
    if data.draw(st.booleans()):
        keys = CheckKeys(np.full_like(keys.factors, Q), np.full_like(keys.pads, Q))
    words = st.lists(st.sampled_from([0, 1, 65_535, 65_536]), min_size=16, max_size=16)
    numbers = data.draw(st.lists(words, min_size=circle, max_size=circle))
    made = tags(np.array(numbers, np.float64), keys.factors[0], keys.pads[0])
    assert made.shape == (circle, TAG_BYTES)
    for share, of_share, pads in zip(numbers, made, keys.pads[0].tolist(), strict=True):
        for tag in (0, 1):
            factors = keys.factors[0, :, tag].tolist()
            value = (sum(one * factor for one, factor in zip(share, factors, strict=True)) + pads[tag]) % Q
            assert of_share[4 * tag :][:4].tobytes() == value.to_bytes(4, "big")


def test_keys_differ_from_holder_to_holder_from_secret_to_secret_and_from_seed_to_seed() -> None:
    keys, others = CheckKeys.of(b"1" * 32, 20), CheckKeys.of(b"2" * 32, 20)
    drawn = np.concatenate([one.ravel() for made in (keys, others) for one in (made.factors, made.pads)])
    assert len(drawn) == 2 * 20 * (16 + 20) * 2
    assert len(set(drawn.tolist())) == len(drawn)
    some = keys.of_secrets([3, 7])
    assert some.factors.tolist() == keys.factors.tolist()
    assert some.pads.tolist() == keys.pads[:, [3, 7]].tolist()


def test_a_seed_that_gives_a_number_beyond_the_field_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(seed: bytes, count: int) -> NDArray[np.uint32]:
        numbers = np.full(count, {b"1": Q - 1, b"2": 2**31 + 5, b"3": 2**32 - 1, b"4": 0, b"5": 0}[seed], np.uint32)
        if seed in (b"4", b"5"):
            numbers[0 if seed == b"4" else -1] = Q  # one factor, or one pad
        return numbers

    monkeypatch.setattr(module, "keystream", stream)
    waiting = [b"3", b"4", b"5", b"1", b"2"]
    seed, keys = CheckKeys.drawn(4, lambda size: waiting.pop(0))
    assert (seed, waiting) == (b"1", [b"2"])
    assert keys.pads.max() == Q - 1
    assert CheckKeys.drawn(4, lambda size: b"2")[1].factors.max() == 5


def test_a_holders_shares_and_tags_fit_all_factors_alike_so_that_it_cannot_make_one_up() -> None:
    """Whatever the factors are, there are pads that give the tags that it has."""
    numbers = np.random.default_rng(0).integers(0, PRIME, (5, 16)).astype(np.float64)
    keys = CheckKeys.of(os.urandom(32), 5)
    held = tags(numbers, keys.factors[0], keys.pads[0])
    for factors in (CheckKeys.of(os.urandom(32), 5).factors[0], np.zeros((16, 2), np.uint32)):
        without = tags(numbers, factors, np.zeros((5, 2), np.uint32))
        pads = (held.view(">u4").astype(np.int64) - without.view(">u4")) % Q
        assert tags(numbers, factors, pads.astype(np.uint32)).tolist() == held.tolist()


def test_hospitals_of_one_process_agree_on_the_same_secrets_as_hospitals_apart_and_leave_none_behind() -> None:
    secrets = [os.urandom(32) for _ in range(4)]
    apart = [AgreementKey(secret) for secret in secrets]
    pairs: dict[tuple[bytes, ...], bytes] = {}
    together = [AgreementKey(secret, pairs) for secret in secrets]
    for one, key in enumerate(apart):
        for other, peer in enumerate(apart):
            if one != other:
                found = together[one].derive(peer.public, b"mask", b"sum")
                assert found == key.derive(peer.public, b"mask", b"sum") == peer.derive(key.public, b"mask", b"sum")
    assert pairs == {}
    with pytest.raises(MessageError, match="small order"):
        together[0].derive(bytes(32), b"mask")
    assert pairs == {}


def test_what_one_pair_left_is_given_to_no_other_hospital() -> None:
    one, two, other = (os.urandom(32) for _ in range(3))
    pairs: dict[tuple[bytes, ...], bytes] = {}
    AgreementKey(one, pairs).derive(AgreementKey(two).public, b"mask")
    found = AgreementKey(other, pairs).derive(AgreementKey(two).public, b"mask")
    assert found == AgreementKey(two).derive(AgreementKey(other).public, b"mask")


@pytest.mark.parametrize("dtype", ["<u2", "<u4", "<u8"])
@pytest.mark.parametrize("numbers", [0, 1, 5, BLOCK_BYTES // 4 + 3])
def test_masks_are_the_keystream_and_cancel(dtype: str, numbers: int) -> None:
    vector = np.arange(numbers).astype(dtype)
    one, two = os.urandom(32), os.urandom(32)
    masked = vector.copy()
    add_masks(masked, [one], [two], 1)
    streams = []
    for key in (one, two):
        blocks = [
            Cipher(algorithms.AES256(key), modes.CTR(nonce + b"\0\0\0\2")).encryptor().update(bytes(BLOCK_BYTES))
            for nonce in ((1 << 64 | number).to_bytes(12, "big") for number in range(vector.nbytes // BLOCK_BYTES + 1))
        ]
        streams.append(np.frombuffer(b"".join(blocks)[: vector.nbytes], dtype))
    assert masked.tolist() == (vector + streams[0] - streams[1]).tolist()
    add_masks(masked, [two], [one], 1)
    assert masked.tolist() == vector.tolist()


def test_segments_of_one_seed_have_different_masks() -> None:
    first, second = np.zeros(64, "<u8"), np.zeros(64, "<u8")
    add_masks(first, [b"k" * 32], [], 0)
    add_masks(second, [b"k" * 32], [], 1)
    assert not set(first.tolist()) & set(second.tolist())


@given(
    st.integers(2, 100),
    st.sampled_from([16, 32]),
    st.floats(1e-3, 100),
    st.integers(1, 2**24),
    st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_no_sum_can_wrap_even_if_every_number_is_the_largest(
    hospitals: int, bits: int, clip: float, largest: int, seed: int
) -> None:
    encoding = Encoding(hospitals, bits, clip, largest)
    assert hospitals * encoding.levels <= 2 ** (bits - 1) - 1
    for sign in (1, -1):
        extreme = np.full(9, sign * 3e38, np.float32)
        parts = [encoding.encode(extreme, largest, insecure_stream(seed, k)) for k in range(hospitals)]
        total = sum(parts[1:], start=parts[0])
        assert encoding.decode(total) == pytest.approx(np.full(9, sign * hospitals * clip * largest), rel=1e-9)


def test_rounding_is_right_on_average_and_never_by_more_than_one_level() -> None:
    encoding = Encoding(4, 16, 1.0, 100)
    update = np.full(20_000, 0.12345, np.float32)
    values = encoding.decode(encoding.encode(update, 37, insecure_stream(1)))
    level = encoding.clip * encoding.largest_weight / encoding.levels
    exact = 0.12345 * 37
    assert np.abs(values - exact).max() <= level
    assert abs(values.mean() - exact) < 4 * level / np.sqrt(len(update))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_never_encoded(number: float) -> None:
    with pytest.raises(ModelError, match="not finite"):
        Encoding(3, 32, 4.0, 100).encode(np.array([0, number], np.float32), 1, insecure_stream(0))


def test_a_ring_that_is_too_small_for_the_hospitals_is_refused() -> None:
    with pytest.raises(RoundError, match="cannot hold a sum"):
        Encoding(40_000, 16, 1.0, 1)


def test_counts_that_could_wrap_are_refused_on_both_sides() -> None:
    for counts in ([-1], [COUNT_LIMIT]):
        with pytest.raises(MessageError):
            encode_counts(np.array(counts, np.int64), 3)
    with pytest.raises(MessageError, match="did not follow the protocol"):
        decode_counts(np.array([3 * COUNT_LIMIT], np.uint64), 3)


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_joined_parts_come_asunder_in_one_way(parts: list[bytes]) -> None:
    assert cut(joined(*parts)) == parts
    assert joined(*parts) == b"".join(pieces(*parts))


def test_what_is_sealed_opens_only_for_its_sum_sender_and_receiver() -> None:
    key = os.urandom(32)
    sealed = seal(key, b"shares", b"sum 1", os.urandom)
    assert unseal(key, sealed, b"sum 1") == b"shares"
    for other in ((os.urandom(32), sealed, b"sum 1"), (key, sealed, b"sum 2"), (key, sealed[:-1], b"sum 1")):
        with pytest.raises(MessageError, match="were changed, or belong to another sum"):
            unseal(*other)


def test_a_signature_of_one_statement_is_none_of_another() -> None:
    one = Identity(os.urandom(32))
    signature = one.sign(b"key", b"ab", b"c")
    check_signature(one.public, signature, b"key", b"ab", b"c")
    for statement in ((b"upload", b"ab", b"c"), (b"key", b"a", b"bc"), (b"key", b"abc")):
        with pytest.raises(MessageError, match="is not valid"):
            check_signature(one.public, signature, *statement)


def test_no_secret_is_printed() -> None:
    assert "secret" not in repr(Identity(b"secret".ljust(32))) + repr(AgreementKey(b"secret".ljust(32)))


def test_a_roster_is_known_by_names_and_keys_and_a_fingerprint_can_be_read_aloud() -> None:
    one, two = Identity(bytes(32)).public, Identity(b"2" * 32).public
    assert Roster({"a": one, "b": two}).digest == Roster({"b": two, "a": one}).digest
    assert Roster({"a": one, "b": two}).digest != Roster({"a": two, "b": one}).digest
    assert len(fingerprint(one).split()) == 4
    assert fingerprint(one) != fingerprint(two)


@pytest.mark.parametrize("hospitals", range(2, 101))
def test_the_default_threshold_is_more_than_half_and_lets_somebody_drop_out(hospitals: int) -> None:
    threshold = default_threshold(hospitals)
    assert hospitals < 2 * threshold <= 2 * hospitals
    assert hospitals == 2 or threshold < hospitals
