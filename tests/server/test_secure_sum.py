"""A coordinator that cheats, hospitals that cheat, and everybody who vanishes: a sum is exact, or it is not read."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from consortium import RUN, SIZE, Group, identity, readable, secure_study
from wardround_client.hospital.secure_sum import Participant, sign_survivors
from wardround_common.canonical import cut
from wardround_common.errors import MessageError, RoundError, StorageError
from wardround_common.secagg import shamir, tags
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.exchange import (
    TAGGED_BYTES,
    Masked,
    check_confirmations,
    read_confirmations,
    read_heads,
    read_sealed,
    sealed_bytes,
    write_signed,
)
from wardround_common.secagg.masks import add_masks, keystream
from wardround_common.secagg.shamir import SHARE_BYTES
from wardround_common.secagg.terms import Member, Terms, What, write_members
from wardround_server.rounds.secure_sum import Opening


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return Group(tmp_path)


def heads(group: Group, uploads: dict[str, object]) -> bytes:
    entries = {group.names.index(name): upload.head for name, upload in uploads.items()}  # type: ignore[attr-defined]
    return write_signed({place: (head.content, head.signature) for place, head in entries.items()}, 5)


@pytest.mark.parametrize(
    ("uploading", "confirming", "opening"),
    [
        ("abcde", "abcde", "abcde"),
        ("abcd", "abcd", "abcd"),
        ("bcde", "bcde", "bcde"),
        ("abcde", "acde", "acde"),
        ("abcde", "abcde", "abde"),
        ("edcba", "ecbda", "dabc"),
    ],
)
def test_the_sum_is_exact_whoever_drops_out_on_the_way(
    group: Group, uploading: str, confirming: str, opening: str
) -> None:
    assert readable(group.sum(uploading, confirming, opening)) == group.expected(uploading)


@pytest.mark.parametrize(
    ("uploading", "confirming", "opening", "word"),
    [("abc", "", "", "confirmed"), ("abcd", "abc", "", "confirmed"), ("abcde", "abcde", "abc", "opened")],
)
def test_below_the_threshold_the_round_is_abandoned_and_says_so(
    group: Group, uploading: str, confirming: str, opening: str, word: str
) -> None:
    with pytest.raises(RoundError, match=rf"{word} the sum of round 1 \(train\) where 4 must"):
        group.sum(uploading, confirming, opening)


@pytest.mark.parametrize("what", ["train", "evaluate"])
def test_a_hospital_signs_no_list_that_is_shorter_than_the_study_allows(group: Group, what: What) -> None:
    uploads = {name: group.upload(name, what) for name in "abcde"}
    with pytest.raises(MessageError, match="shorter than the study allows"):
        group.desks["a"].confirm(what, 1, heads(group, {name: uploads[name] for name in "abc"}))


def test_min_hospitals_above_the_threshold_holds_too(tmp_path: Path) -> None:
    group = Group(tmp_path, study=secure_study(min_hospitals=5))
    uploads = {name: group.upload(name) for name in "abcd"}
    with pytest.raises(MessageError, match="shorter than the study allows"):
        group.desks["a"].confirm("train", 1, heads(group, uploads))  # type: ignore[arg-type]


def test_a_hospital_that_returns_next_round_is_in_the_next_sum(group: Group) -> None:
    assert readable(group.sum("abcd", "abcd", "abcd", 1)) == group.expected("abcd")
    assert readable(group.sum("abcde", "abcde", "abcde", 2)) == group.expected("abcde")


# A coordinator that lies about keys and hospitals


def test_a_swapped_key_is_refused(group: Group) -> None:
    group.upload("a")
    mine = AgreementKey(os.urandom(32)).public
    swapped = [replace(member, agreement=mine) if member.name == "b" else member for member in group.members]
    with pytest.raises(MessageError, match="a signature of the key is not valid"):
        group.upload("c", cohort=write_members(swapped))


def test_a_key_of_another_run_or_study_is_refused(group: Group) -> None:
    for study, run in ((group.study.digest(), bytes(16)), ("0" * 64, RUN)):
        other = Member.signed("b", identity("b"), AgreementKey(os.urandom(32)).public, study, run)
        replayed = [other if member.name == "b" else member for member in group.members]
        with pytest.raises(MessageError, match="a signature of the key"):
            group.upload("c", cohort=write_members(replayed))


def test_a_hospital_that_is_not_in_the_roster_is_refused(group: Group) -> None:
    invented = Member.signed("z", identity("z"), AgreementKey(os.urandom(32)).public, group.study.digest(), RUN)
    with pytest.raises(MessageError, match="not in the roster"):
        group.upload("a", cohort=write_members([*group.members, invented]))


def test_a_hospital_named_twice_is_refused(group: Group) -> None:
    with pytest.raises(MessageError, match="names a hospital or a key twice"):
        group.upload("a", cohort=write_members([*group.members, group.members[-1]]))


def test_a_key_that_two_hospitals_say_is_theirs_is_refused(group: Group) -> None:
    copied = Member.signed("b", identity("b"), group.members[0].agreement, group.study.digest(), RUN)
    with pytest.raises(MessageError, match="names a hospital or a key twice"):
        group.upload("c", cohort=write_members([group.members[0], copied, *group.members[2:]]))


def test_a_cohort_with_another_key_of_ours_is_refused(group: Group) -> None:
    other = Member.signed("a", identity("a"), AgreementKey(os.urandom(32)).public, group.study.digest(), RUN)
    with pytest.raises(MessageError, match="another key for this hospital"):
        group.upload("a", cohort=write_members([other, *group.members[1:]]))


def test_a_key_of_small_order_is_refused() -> None:
    with pytest.raises(MessageError, match="small order"):
        AgreementKey(os.urandom(32)).derive(bytes(32), b"mask")


# A coordinator that lies about who is there


def test_no_message_can_name_one_hospital_both_survivor_and_dropped(group: Group) -> None:
    uploads = {name: group.upload(name) for name in "abcde"}
    listed = heads(group, uploads)  # type: ignore[arg-type]
    entry = (len(listed) - 2) // 5
    twice = (6).to_bytes(2, "big") + listed[2:] + listed[-entry:]
    for wrong in (twice, (5).to_bytes(2, "big") + listed[2 + entry :] + listed[2 : 2 + entry]):
        with pytest.raises(MessageError):
            group.desks["a"].confirm("train", 1, wrong)


def test_a_hospital_that_did_not_upload_cannot_be_listed(group: Group) -> None:
    uploads = {name: group.upload(name) for name in "abcd"}
    forged = dict(read_heads(heads(group, uploads), 5))  # type: ignore[arg-type]
    forged[4] = forged[0]
    content = write_signed({place: (head.content, head.signature) for place, head in forged.items()}, 5)
    with pytest.raises(MessageError, match="a signature of the upload"):
        group.desks["a"].confirm("train", 1, content)


def test_a_hospital_does_not_confirm_a_list_without_itself(group: Group) -> None:
    uploads = {name: group.upload(name) for name in "abcde"}
    del uploads["a"]
    with pytest.raises(MessageError, match="this hospital is not on the list"):
        group.desks["a"].confirm("train", 1, heads(group, uploads))  # type: ignore[arg-type]


def test_two_lists_for_two_halves_of_the_hospitals_open_nothing(group: Group) -> None:
    uploads = {name: group.upload(name) for name in "abcde"}
    lists = {"abcd": "abc", "bcde": "de"}  # the list, and those that are shown it
    signatures: dict[str, dict[int, bytes]] = {listed: {} for listed in lists}
    for listed, shown in lists.items():
        content = heads(group, {name: uploads[name] for name in listed})
        for name in shown:
            signatures[listed][group.names.index(name)] = group.desks[name].confirm("train", 1, content)
    together = {place: (sig,) for found in signatures.values() for place, sig in found.items() if place < 4}
    sealed = b"".join(uploads[name].dealt.sealed[0] for name in "abcd")
    short = write_signed({place: (sig,) for place, sig in signatures["abcd"].items()}, 5)
    with pytest.raises(MessageError, match="too few survivors confirmed"):
        group.desks["a"].open("train", 1, short, sealed)
    with pytest.raises(MessageError, match="a signature of the survivors"):
        group.desks["a"].open("train", 1, write_signed(together, 5), sealed)


def test_shares_from_different_lists_cannot_be_mixed_into_a_sum_over_two(tmp_path: Path) -> None:
    """Without confirmation, threshold 3 of 5 would allow it: each hospital is shown a list that leaves out two.

    Hospitals c, d and e would each be left out by three answers, a and b by none, so that the sum of a and b alone
    could be unmasked (docs/secagg.md, section 6).
    """
    group = Group(tmp_path, study=secure_study(threshold=3))
    uploads = {name: group.upload(name) for name in "abcde"}
    shown = {"a": "abe", "b": "abc", "c": "abc", "d": "abd", "e": "abe"}
    signatures: dict[str, list[int]] = {}
    for name, listed in shown.items():
        group.desks[name].confirm("train", 1, heads(group, {one: uploads[one] for one in listed}))
        signatures.setdefault(listed, []).append(group.names.index(name))
    assert max(map(len, signatures.values())) < 3  # no list has the signatures that opening it takes


def test_a_second_list_gets_no_signature_also_after_a_restart(group: Group) -> None:
    uploads = {name: group.upload(name) for name in "abcde"}
    first = group.desk("a").confirm("train", 1, heads(group, uploads))  # type: ignore[arg-type]
    assert group.desk("a").confirm("train", 1, heads(group, uploads)) == first  # type: ignore[arg-type]
    with pytest.raises(MessageError, match="a different list of survivors was already confirmed"):
        group.desk("a").confirm("train", 1, heads(group, {name: uploads[name] for name in "abcd"}))


def test_nothing_is_opened_before_it_is_confirmed(group: Group) -> None:
    for name in "abcde":
        group.upload(name)
    with pytest.raises(MessageError, match="no list of survivors"):
        group.desks["a"].open("train", 1, b"", b"")


# A coordinator that asks again


def test_the_same_question_gets_the_same_bytes_after_a_restart(group: Group) -> None:
    first = group.upload("a")
    group.vectors["a"] = group.vectors["b"]  # it would train to something else now
    again = group.upload("a")
    assert again.envelope() == first.envelope()
    assert again.masked.update.tobytes() == first.masked.update.tobytes()


def test_an_upload_that_is_kept_of_another_sum_is_not_sent(group: Group) -> None:
    group.upload("a")
    terms = group.folder / "a" / "train.terms"
    first = terms.read_bytes()
    group.upload("a", number=2)
    terms.write_bytes(first)  # as if the power had failed between the second upload and its terms
    with pytest.raises(StorageError, match="records of its secure sums are damaged"):
        group.upload("a")


def test_no_other_key_is_made_beside_what_was_answered_with_the_one_that_is_gone(group: Group) -> None:
    group.upload("a")
    (group.folder / "a" / "run").unlink()
    with pytest.raises(StorageError, match="records of its secure sums are damaged") as gone:
        group.desk("a").join(RUN)
    assert "Do not empty the folder" in gone.value.do


def test_another_question_of_the_same_round_gets_no_answer_after_a_restart(group: Group) -> None:
    group.upload("a")
    with pytest.raises(MessageError, match="a different question of round 1 was already answered"):
        group.upload("a", question=b"another model".ljust(32))
    fewer = write_members(group.members[:4])
    with pytest.raises(MessageError, match="a different question of round 1 was already answered"):
        group.upload("a", cohort=fewer)


def test_a_round_behind_the_last_one_gets_no_answer(group: Group) -> None:
    group.sum("abcde", "abcde", "abcde", 2)
    with pytest.raises(MessageError, match="comes before the last one"):
        group.upload("a", number=1)


def test_a_second_run_of_the_study_is_refused(group: Group) -> None:
    with pytest.raises(MessageError, match="another run of the study") as refused:
        group.desk("a").join(bytes(16))
    assert "run the study under another name" in refused.value.do


def test_a_process_that_dies_before_its_answer_is_kept_masks_with_another_self_mask(group: Group) -> None:
    first = group.upload("a")
    (group.folder / "a" / "train.terms").unlink()  # as if the crash came before the last write
    second = group.upload("a")
    assert first.masked.update.tobytes() != second.masked.update.tobytes()


def test_last_rounds_confirmations_and_shares_open_nothing_of_this_round(group: Group) -> None:
    old = group.gathering(1)
    for name in "abcde":
        old.add(name, group.upload(name, number=1))
    confirming = old.close()
    for name in "abcde":
        confirming.add(name, group.desks[name].confirm("train", 1, confirming.question()))
    opening = confirming.close()
    for name in "abcde":
        group.upload(name, number=2)
    with pytest.raises(MessageError, match="is not the round of this hospital's last upload"):
        group.desks["a"].open("train", 1, opening.signatures(), opening.sealed_for("a"))
    with pytest.raises(MessageError, match="a signature of the upload"):
        group.desks["a"].confirm("train", 2, confirming.question())


def test_hospitals_that_were_sent_different_models_make_no_sum(group: Group) -> None:
    """Model inconsistency (Pasquini et al., CCS 2022): one hospital's update in a sum of the others' zeros."""
    gathering = group.gathering()
    for name in "abcd":
        gathering.add(name, group.upload(name))
    with pytest.raises(MessageError, match="a signature of the upload"):
        gathering.add("e", group.upload("e", question=b"crafted".ljust(32)))
    other = {"e": group.upload("e", question=b"crafted".ljust(32))}
    listed = {name: group.upload(name) for name in "abcd"} | other
    with pytest.raises(MessageError, match="a signature of the upload"):
        group.desks["a"].confirm("train", 1, heads(group, listed))  # type: ignore[arg-type]


# Bytes that were changed (each byte of each message: test_secure_decoders.py)


def test_an_upload_that_was_changed_is_refused_and_nothing_is_added(group: Group) -> None:
    upload = group.upload("b")
    gathering = group.gathering()
    changed = upload.masked.update.copy()
    changed[3] += 1
    with pytest.raises(MessageError, match="does not match its signature"):
        gathering.add("b", replace(upload, masked=Masked(changed, upload.masked.counts)))
    with pytest.raises(MessageError, match="a signature of the upload"):
        gathering.add("a", upload)  # another hospital's name
    assert gathering.names == []
    gathering.add("b", upload)
    with pytest.raises(MessageError, match="came twice"):
        gathering.add("b", upload)


def test_an_upload_that_comes_after_the_list_was_closed_is_not_in_the_sum(group: Group) -> None:
    gathering = group.gathering()
    for name in "abcd":
        gathering.add(name, group.upload(name))
    confirming = gathering.close()
    with pytest.raises(MessageError, match="came after the list of survivors was closed"):
        gathering.add("e", group.upload("e"))
    for name in "abcd":
        confirming.add(name, group.desks[name].confirm("train", 1, confirming.question()))
    opening = confirming.close()
    for name in "abcd":
        opening.add(name, group.desks[name].open("train", 1, opening.signatures(), opening.sealed_for(name)))
    assert readable(opening.total()) == group.expected("abcd")


@pytest.mark.parametrize("damage", ["longer", "other type", "fewer counts"])
def test_a_vector_of_another_form_is_refused(group: Group, damage: str) -> None:
    masked = group.upload("b").masked
    wrong = {
        "longer": Masked(np.append(masked.update, masked.update[:1]), masked.counts),
        "other type": Masked(masked.update.astype("<u2"), masked.counts),
        "fewer counts": Masked(masked.update, masked.counts[:-1]),
    }[damage]
    with pytest.raises(MessageError, match="another type or length"):
        group.gathering().add("b", replace(group.upload("b"), masked=wrong))


# Hospitals that cheat


def opening_of(group: Group) -> Opening:
    """Let all five upload and confirm; their shares are still to come."""
    gathering = group.gathering()
    for name in "abcde":
        gathering.add(name, group.upload(name))
    confirming = gathering.close()
    for name in "abcde":
        confirming.add(name, group.desks[name].confirm("train", 1, confirming.question()))
    return confirming.close()


def shares_of(group: Group, opening: Opening, name: str) -> bytes:
    return group.desks[name].open("train", 1, opening.signatures(), opening.sealed_for(name))


def test_garbage_shares_are_told_from_true_ones_and_the_others_open_the_sum(group: Group) -> None:
    opening = opening_of(group)
    for name in "abcde":
        shares = shares_of(group, opening, name)
        if name != "c":
            opening.add(name, shares)
            continue
        for garbage in (bytes(len(shares)), b"\xff" * len(shares), shares[:-1], shares + b"\0", b""):
            with pytest.raises(MessageError):
                opening.add(name, garbage)
    assert readable(opening.total()) == group.expected("abcde")


def test_one_share_or_tag_that_was_changed_is_left_out_and_no_other(group: Group) -> None:
    opening = opening_of(group)
    for name in "abde":
        opening.add(name, shares_of(group, opening, name))
    shares = shares_of(group, opening, "c")
    assert len(shares) == 5 * TAGGED_BYTES
    dealers = [(place, place) for place in range(5)]
    opening.add("c", shares)
    assert list(opening._opened[2]) == dealers
    for at in range(TAGGED_BYTES, 2 * TAGGED_BYTES):  # of what b dealt
        for bit in (1, 128):
            opening.add("c", shares[:at] + bytes([shares[at] ^ bit]) + shares[at + 1 :])
            assert list(opening._opened[2]) == [dealers[0], *dealers[2:]]
    swapped = shares[TAGGED_BYTES : 2 * TAGGED_BYTES] + shares[:TAGGED_BYTES] + shares[2 * TAGGED_BYTES :]
    opening.add("c", swapped)
    assert list(opening._opened[2]) == dealers[2:]
    assert readable(opening.total()) == group.expected("abcde")


def test_a_holder_cannot_lose_a_sum_by_writing_a_true_share_in_another_way(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an element that 16 bits do not hold a share has a mark, and zeros, which nobody needs to read it."""
    third = pow(3, -1, shamir.PRIME)  # the polynomial 65,535 + x/3 is 65,536 at c's point
    with monkeypatch.context() as dealing:
        dealing.setattr(shamir, "uniform", lambda count, random: np.repeat([third, 0, 0] * 5, 16).astype(float))
        dealing.setattr(group, "desk", partial(group.desk, random=lambda size: b"\xff" * size))
        group.upload("b")
    opening = opening_of(group)
    for name in "abde":
        opening.add(name, shares_of(group, opening, name))
    shares = shares_of(group, opening, "c")
    of_b = shares[TAGGED_BYTES : 2 * TAGGED_BYTES]
    assert of_b[:SHARE_BYTES] == b"\xff\xff" + bytes(32)
    opening.add("c", shares[:TAGGED_BYTES] + of_b[:2] + b"\1" * 32 + of_b[SHARE_BYTES:] + shares[2 * TAGGED_BYTES :])
    assert list(opening._opened[2]) == [(place, place) for place in (0, 2, 3, 4)]
    assert readable(opening.total()) == group.expected("abcde")


def test_a_dealer_draws_a_check_seed_again_that_gives_a_number_beyond_the_field(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[bytes] = []

    def stream(seed: bytes, count: int) -> NDArray[np.uint32]:
        drawn.append(seed)
        numbers = keystream(seed, count)
        if len(drawn) == 1:
            numbers[-1] = 2**31 - 1  # one pad
        return numbers

    monkeypatch.setattr(tags, "keystream", stream)
    assert group.upload("a").dealt.check == drawn[1] != drawn[0]


def test_holders_that_answer_garbage_do_not_have_an_honest_dealer_blamed(group: Group) -> None:
    """Two of five may collude: where two shares are garbage, either they or their dealer sent it, and it is said so."""
    opening = opening_of(group)
    for name in "abcde":
        shares = shares_of(group, opening, name)
        garbage = shares[:TAGGED_BYTES] + bytes(TAGGED_BYTES) + shares[2 * TAGGED_BYTES :]  # of what b dealt
        opening.add(name, garbage if name in "cd" else shares)
    with pytest.raises(RoundError, match="shares of the masks of b came back from c, d as garbage") as lost:
        opening.total()
    assert lost.value.do == "Either b dealt them so, or c, d answered so. Find out what these hospitals run."


def test_a_dealer_that_seals_garbage_to_the_others_is_named(group: Group) -> None:
    honest = group.upload("b")
    sealed = tuple(os.urandom(len(one)) for one in honest.dealt.sealed)
    cheat = group.desk("b")
    masked, dealt = honest.masked, replace(honest.dealt, sealed=sealed)
    cheat._keep_upload(group.terms(), _signed(group, masked, dealt))
    with pytest.raises(RoundError, match="the shares that b dealt are not those of its masks"):
        group.sum("abcde", "abcde", "abcde")


def test_garbage_sealed_to_few_costs_nothing(group: Group) -> None:
    honest = group.upload("b")
    sealed = (os.urandom(len(honest.dealt.sealed[0])), *honest.dealt.sealed[1:])
    group.desk("b")._keep_upload(group.terms(), _signed(group, honest.masked, replace(honest.dealt, sealed=sealed)))
    assert readable(group.sum("abcde", "abcde", "abcde")) == group.expected("abcde")


def test_a_dealer_whose_shares_are_not_those_of_its_masks_is_named(group: Group) -> None:
    cheat = group.desk("b")

    class Cheat(Participant):
        def _deal(self, terms: Terms, ours: int, seeds: dict[int, bytes], random):  # type: ignore[no-untyped-def, override]
            return super()._deal(terms, ours, seeds | {ours: bytes(32)}, random)

    _, key = cheat._run()
    vector = group.vectors["b"]
    masked = Masked(vector.update.copy(), vector.counts.copy())
    honest = Participant("b", identity("b"), key, group.roster).upload(group.terms(), masked, os.urandom)
    masked = Masked(vector.update.copy(), vector.counts.copy())
    other = Cheat("b", identity("b"), key, group.roster).upload(group.terms(), masked, os.urandom)
    mixed = replace(other.dealt, seeds=honest.dealt.seeds)
    cheat._keep_upload(group.terms(), _signed(group, masked, mixed))
    with pytest.raises(RoundError, match="the shares that b dealt are not those of its masks"):
        group.sum("abcde", "abcde", "abcde")


def _signed(group: Group, masked: Masked, dealt):  # type: ignore[no-untyped-def]
    from wardround_common.secagg.exchange import Head, Upload

    return Upload(masked, dealt, Head.signed(identity("b"), group.terms(), 1, masked, dealt))


def test_signatures_that_were_checked_under_one_list_are_none_under_another(group: Group) -> None:
    """Hospitals of one process check the same signatures once."""
    terms = group.terms()
    signatures = {place: sign_survivors(identity(name), b"one list") for place, name in enumerate(group.names)}
    check_confirmations(terms, group.roster, signatures, b"one list")
    with pytest.raises(MessageError, match="a signature of the survivors is not valid"):
        check_confirmations(terms, group.roster, signatures, b"another list")


def test_a_hospital_that_dropped_out_confirms_no_list_of_the_others(group: Group) -> None:
    """Nor is its signature one of the threshold's, if the coordinator says that it is."""
    gathering = group.gathering()
    for name in "abcd":
        gathering.add(name, group.upload(name))
    confirming = gathering.close()
    signatures = {
        group.names.index(name): (group.desks[name].confirm("train", 1, confirming.question()),) for name in "abc"
    }
    of_e = sign_survivors(identity("e"), confirming._statement)
    with pytest.raises(MessageError, match="not a survivor confirmed"):
        confirming.add("e", of_e)
    with pytest.raises(MessageError, match="too few survivors confirmed the list"):
        group.desks["a"].open("train", 1, write_signed(signatures | {4: (of_e,)}, 5), bytes(4 * sealed_bytes(5)))


def test_a_confirmation_in_anothers_name_is_refused(group: Group) -> None:
    gathering = group.gathering()
    for name in "abcde":
        gathering.add(name, group.upload(name))
    confirming = gathering.close()
    signature = group.desks["a"].confirm("train", 1, confirming.question())
    with pytest.raises(MessageError, match="a signature of the survivors"):
        confirming.add("b", signature)


# What the coordinator holds says nothing of one hospital


def test_a_masked_vector_is_uniform_whatever_the_update_is(tmp_path: Path) -> None:
    group = Group(tmp_path, "abc")
    constant = np.full(SIZE, 7, "<u4")
    seen = []
    for number in range(1, 101):
        group.vectors["a"] = Masked(constant, group.vectors["a"].counts)
        seen.append(group.upload("a", number=number).masked.update)
    low = np.bincount((np.concatenate(seen) >> 28).astype(np.int64), minlength=16)  # 4000 numbers in 16 bins
    chi_square = float(((low - 250.0) ** 2 / 250.0).sum())
    assert chi_square < 44.3  # 15 degrees of freedom: beyond this once in 10,000 runs


def test_all_masks_but_the_own_one_leave_a_vector_uniform(tmp_path: Path) -> None:
    """All other hospitals collude with the coordinator: the self-mask alone still covers the vector."""
    group = Group(tmp_path, "abc")
    upload = group.upload("a")
    stripped = upload.masked.update.copy()
    terms = group.terms()
    seeds = [
        group.desks[other]._run()[1].derive(terms.members[0].agreement, b"mask", terms.digest, bytes((0, place)))
        for place, other in ((1, "b"), (2, "c"))
    ]
    add_masks(stripped, [], seeds, 0)
    assert not np.any(stripped == group.vectors["a"].update)


# More hospitals than each can be everybody's neighbour

MANY = "abcdefghijklmnopqrstuvwx"  # 24: 17 must open, 7 may drop out, 9 may collude, each has 18 neighbours


def test_many_hospitals_with_neighbours_only_make_exact_sums_whoever_drops_out(tmp_path: Path) -> None:
    group = Group(tmp_path, MANY)
    assert readable(group.sum(MANY, MANY, MANY, 1)) == group.expected(MANY)
    there = MANY[:1] + MANY[8:]  # seven in a row are gone: all on one side of a
    assert readable(group.sum(there, there, there, 2)) == group.expected(there)
    assert readable(group.sum(MANY, MANY, MANY[7:], 3)) == group.expected(MANY)
    assert len(group.upload("a", number=4).dealt.sealed) == 19


def test_a_hospital_whose_neighbours_drop_out_or_collude_stays_unreadable(tmp_path: Path) -> None:
    """The coordinator calls seven of a's neighbours dropped, and nine others are on its side."""
    group = Group(tmp_path, MANY)
    terms, mine = group.terms(), b"known self-mask".ljust(32)
    desk = group.desk("a", lambda size: mine if size == 32 else os.urandom(size))
    cohort = write_members(group.members)
    vector = group.vectors["a"]
    upload = desk.upload(
        "train", 1, bytes(32), cohort, lambda _, __: Masked(vector.update.copy(), vector.counts.copy())
    )
    neighbours = [place for place in terms.graph.circle_of(0) if place]
    known = neighbours[:16]
    seeds = [
        group.desks[MANY[place]]._run()[1].derive(terms.members[0].agreement, b"mask", terms.digest, bytes((0, place)))
        for place in known
    ]
    stripped = upload.masked.update.copy()
    add_masks(stripped, [], [mine, *seeds], 0)
    assert len(neighbours) - len(known) == 2  # honest survivors whose seeds with a nobody opens
    assert not np.any(stripped == vector.update)


# Anything in any order


class Chaos:
    """Random steps over two rounds: drop, repeat, reorder, restart; in the end a sum is exact or not there."""

    def __init__(self, group: Group, draw: st.DataObject) -> None:
        self.group, self.data = group, draw

    def round(self, number: int) -> str | None:
        group, names = self.group, st.sampled_from(list(self.group.names))
        gathering = group.gathering(number)
        for name in self.data.draw(st.lists(names, max_size=9)):
            try:
                gathering.add(name, group.upload(name, number=number))
            except MessageError:
                assert name in gathering.names  # it came twice
        survivors, confirming = "".join(gathering.names), gathering.close()
        for name in self.data.draw(st.lists(names, max_size=9)):
            try:
                confirming.add(name, group.desk(name).confirm("train", number, confirming.question()))
            except MessageError:
                assert name not in survivors or len(survivors) < group.terms().threshold
        try:
            opening = confirming.close()
            for name in self.data.draw(st.lists(names, max_size=9)):
                try:
                    sealed = opening.sealed_for(name)
                    opening.add(name, group.desk(name).open("train", number, opening.signatures(), sealed))
                except MessageError:
                    assert name not in opening.names
            assert readable(opening.total()) == group.expected(survivors)
        except RoundError:
            return None
        return survivors


@given(st.data())
@settings(max_examples=25)
def test_in_any_order_a_sum_is_exact_or_the_round_is_abandoned(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    group = Group(tmp_path_factory.mktemp("chaos"), "abc")
    chaos = Chaos(group, data)
    for number in (1, 2):
        chaos.round(number)


@given(st.binary(max_size=700))
def test_no_bytes_make_a_decoder_fail_in_another_way(content: bytes) -> None:
    from wardround_common.secagg.exchange import Upload, read_opened
    from wardround_common.secagg.terms import read_members

    empty = Masked(np.empty(0, "<u4"), np.empty(0, "<u8"))
    for decode in (
        lambda: write_members(read_members(content)),
        lambda: write_signed({k: (h.content, h.signature) for k, h in read_heads(content, 5).items()}, 5),
        lambda: write_signed({k: (s,) for k, s in read_confirmations(content, 5).items()}, 5),
        lambda: b"".join(read_sealed(content, [0, 2], 3).values()),
        lambda: b"".join(read_opened(content, [(0, 0), (0, 1), (2, 2)]).values()),
        lambda: Upload.read(empty, content, 2).envelope(),
    ):
        try:
            assert decode() == content  # what is read has one form
        except MessageError:
            continue


def test_a_length_of_2_to_40_allocates_nothing() -> None:
    from wardround_common.secagg.terms import read_members

    for content in (b"\xff" * 8, b"\0\x01" + b"\xff" * 8, (2**40).to_bytes(8, "big")):
        with pytest.raises(MessageError):
            read_members(content)
    with pytest.raises(MessageError):
        cut((2**40).to_bytes(8, "big") + b"x")


def test_a_simulated_hospital_flushes_nothing_to_the_disk_and_one_that_serves_does(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    for folder in ("simulated", "serving"):
        (tmp_path / folder).mkdir()
    replace(group.desk("a"), folder=tmp_path / "simulated", durable=False).join(RUN)
    assert not flushed
    replace(group.desk("a"), folder=tmp_path / "serving").join(RUN)
    assert len(flushed) == 2  # the file and its name
