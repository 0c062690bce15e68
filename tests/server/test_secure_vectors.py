"""Our bytes are those of an independent slow reference, and what it calls defective is refused."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround_client.hospital.secure_sum import Participant, sign_survivors
from wardround_common.errors import MessageError
from wardround_common.keys.identity import Identity, Roster
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.exchange import Masked, survivors_statement
from wardround_common.secagg.terms import Member, Terms, read_members

REFERENCE = Path(__file__).parent.parent / "reference"
VECTORS = json.loads((REFERENCE / "secagg.json").read_text())


def terms_of(case: dict[str, Any]) -> tuple[Terms, Roster]:
    run, question = bytes.fromhex(case["run"]), bytes.fromhex(case["question"])
    identities = [Identity(bytes.fromhex(secret)) for secret in case["identities"]]
    roster = Roster({name: identity.public for name, identity in zip(case["names"], identities, strict=True)})
    members = tuple(
        Member.signed(name, identity, AgreementKey(bytes.fromhex(key)).public, case["study"], run)
        for name, identity, key in zip(case["names"], identities, case["keys"], strict=True)
    )
    terms = Terms(case["study"], run, "train", case["round"], question, roster.digest, members, case["threshold"])
    return terms, roster


@pytest.mark.parametrize("case", VECTORS["uploads"], ids=lambda case: "-".join(case["names"][:3]))
def test_uploads_and_confirmations_are_those_of_the_reference_byte_for_byte(case: dict[str, Any]) -> None:
    random_of = runpy.run_path(str(REFERENCE / "secagg.py"))["random_of"]
    terms, roster = terms_of(case)
    terms.check_members(roster)
    heads = {}
    for place, made in zip(case["places"], case["uploads"], strict=True):
        name = case["names"][place]
        assert terms.digest.hex() == made["terms"]
        key = AgreementKey(bytes.fromhex(case["keys"][place]))
        who = Participant(name, Identity(bytes.fromhex(case["identities"][place])), key, roster)
        vector = Masked(np.array(case["updates"][place], "<u4"), np.array(case["counts"][place], "<u8"))
        upload = who.upload(terms, vector, random_of(name))
        assert upload.masked.update.tobytes().hex() == made["update"]
        assert upload.masked.counts.tobytes().hex() == made["counts"]
        assert upload.envelope().hex() == made["envelope"]
        assert (terms.members[place].agreement + terms.members[place].signature).hex() == made["member"]
        heads[place] = upload.head
    for place, signature in zip(case["places"], case["confirmations"], strict=True):
        identity = Identity(bytes.fromhex(case["identities"][place]))
        assert sign_survivors(identity, survivors_statement(terms, heads)).hex() == signature


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["defect"])
def test_a_cohort_with_a_defect_is_refused(case: dict[str, str]) -> None:
    terms, roster = terms_of(VECTORS["uploads"][0])
    with pytest.raises(MessageError):
        _check(terms, roster, bytes.fromhex(case["cohort"]))


def _check(terms: Terms, roster: Roster, cohort: bytes) -> None:
    from dataclasses import replace

    replace(terms, members=read_members(cohort)).check_members(roster)


def test_the_vectors_are_what_the_reference_writes() -> None:
    reference = runpy.run_path(str(REFERENCE / "secagg.py"))
    assert reference["refused"]() == VECTORS["refused"]
    assert reference["case"](["a", "b", "c"], 2) == VECTORS["uploads"][0]
