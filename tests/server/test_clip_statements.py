"""What hospitals sign that they clipped to: bound to their uploads, checked, kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consortium import RUN, identity, roster
from wardround_common.canonical import cut
from wardround_common.errors import MessageError
from wardround_common.messages.rounds import SUMS_FORM, Failure, Parts, TrainRequest
from wardround_common.secagg.exchange import Head
from wardround_common.secagg.question import question_digest
from wardround_common.secagg.statements import check_statements, sign_statement, write_statements
from wardround_common.secagg.terms import Terms
from wardround_common.study.sums import threshold_for
from wardround_server.rounds.course import run_study

from test_distributed_rounds import shared  # isort: skip
from test_poisoned_rounds import first  # isort: skip
from test_secure_rounds import NAMES, Memory, consortium, fast, quiet  # isort: skip

STATED = {"clip_statements": True}


@pytest.mark.parametrize(
    ("of", "claim"),
    [
        (fast(rounds=1, **STATED), "each number of the update was clipped to 4.0, and it weighs at most 65536"),
        (
            shared(training={"rounds": 1}, aggregation=STATED),
            "each patient's gradient was clipped to an L2 norm of 1.0",
        ),
    ],
    ids=["local", "distributed"],
)
def test_the_statements_of_a_round_are_kept_and_name_each_hospitals_upload(
    tmp_path: Path, of: object, claim: str
) -> None:
    group, memory = consortium(), Memory(of, tmp_path)  # type: ignore[arg-type]
    run_study(of, memory, quiet, None, group)  # type: ignore[arg-type]
    content = group.journal.read("statements.000001")
    assert content is not None
    terms = terms_of(of, memory)
    said, uploads = check_statements(content, terms, roster(NAMES))
    assert said == claim
    for name, kind, answer in memory.heard:
        if kind == "train" and isinstance(answer, Parts):
            assert uploads[name] == answer.arrays["envelope"].tobytes()[-96:-64]
    other = Terms(terms.study, RUN, "train", 2, terms.question, terms.roster, terms.members, terms.threshold)
    with pytest.raises(MessageError, match="belong to another sum"):
        check_statements(content, other, roster(NAMES))
    parts = cut(content)
    assert content.count(parts[1]) == 1
    with pytest.raises(MessageError, match="a signature of the clip is not valid"):
        check_statements(content.replace(b"clipped to", b"clipped at"), terms, roster(NAMES))


@pytest.mark.parametrize("form", range(1, SUMS_FORM))
def test_statements_that_were_signed_in_an_earlier_form_can_still_be_checked(tmp_path: Path, form: int) -> None:
    """They are evidence of a run that may have ended long before an upgrade."""
    of, claim = fast(rounds=1), b"a claim"
    terms = terms_of(of, Memory(of, tmp_path))
    then = replace(terms, form=form)
    signed = {}
    for place, name in enumerate(NAMES):
        content = bytes([place] * 32)
        head = Head(content, identity(name).sign(b"upload", then.digest, then.places(place), content))
        signed[name] = (head, sign_statement(identity(name), then, place, head, claim))
    content = write_statements(then, claim, signed)
    assert check_statements(content, terms, roster(NAMES)) == (
        "a claim",
        {name: head.content for name, (head, _) in signed.items()},
    )
    with pytest.raises(MessageError, match="belong to another sum"):
        check_statements(content, replace(terms, round=2), roster(NAMES))
    for other in {1, 2, SUMS_FORM} - {form}:  # the signatures are bound to the form that is said
        with pytest.raises(MessageError, match="a signature of the upload is not valid"):
            check_statements(write_statements(replace(terms, form=other), claim, signed), terms, roster(NAMES))


def terms_of(of: object, memory: Memory) -> Terms:
    members = tuple(memory.at[name].desk.join(RUN) for name in NAMES)  # type: ignore[union-attr]
    question = question_digest(TrainRequest(of.digest(), 1, first(of)))  # type: ignore[attr-defined, arg-type]
    threshold = threshold_for(of, len(NAMES))  # type: ignore[arg-type]
    return Terms(of.digest(), RUN, "train", 1, question, roster(NAMES).digest, members, threshold)  # type: ignore[attr-defined]


@pytest.mark.parametrize("missing", [True, False])
def test_an_upload_without_its_statement_is_left_out_and_named(tmp_path: Path, missing: bool) -> None:
    def alter(who: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if who == "b" and kind == "train" and isinstance(answer, Parts):
            arrays = dict(answer.arrays)
            statement = arrays.pop("statement")
            return Parts(answer.fields, arrays if missing else arrays | {"statement": np.roll(statement, 1)})
        return answer

    of = fast(rounds=1, **STATED)
    (record,) = run_study(of, Memory(of, tmp_path, alter), quiet, None, consortium()).history
    assert record.answered == ("a", "c", "d")
    assert [(absent.hospital, absent.kind) for absent in record.absent] == [("b", "message")]


def test_a_study_that_asks_for_no_statement_gets_none(tmp_path: Path) -> None:
    of = fast(rounds=1)
    memory = Memory(of, tmp_path)
    run_study(of, memory, quiet, None, consortium())
    assert all("statement" not in answer.arrays for _, _, answer in memory.heard if isinstance(answer, Parts))
