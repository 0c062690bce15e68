"""The vote on a round's next model: what it stops, what it cannot, and that it is the same after a crash.

Where there is a vote, liars lie in it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consortium import RUN, identity, secure_study
from examples import DP, dataset, study
from liars import Lie
from wardround_client import networks
from wardround_client.hospital.answering import build, join
from wardround_common.errors import MessageError, RoundError
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.messages.vote import Ballot, VoteRequest, check_ballot, read_ballots
from wardround_common.randomness import insecure_stream
from wardround_common.secagg.exchange import Masked
from wardround_common.study.file import Study
from wardround_server.rounds.attendance import gaps
from wardround_server.rounds.course import Event, RoundEnds, State, run_study

from test_distributed_rounds import shared  # isort: skip
from test_poisoned_rounds import Kept, first, with_liar  # isort: skip
from test_secure_rounds import NAMES, Alter, Memory, consortium, fast, quiet, silent  # isort: skip

MARGIN = {"vote_margin": 4.0}  # of this small study a first honest round costs 1.5 nats
SIGNS = np.random.default_rng(3)


def far(what: str, encoding: Any, masked: Masked) -> Masked:
    """Send all that the bound allows: each number of the mean moves by nearly 4, up or down."""
    if what == "train":
        up = SIGNS.integers(0, 2, len(masked.update)) == 1
        masked.update[:] = np.where(up, encoding.levels, -encoding.levels).astype(encoding.dtype)
        masked.counts[0] = 2**16
    return masked


def with_perjurer(of: Study, folder: Path, lie: Lie) -> Memory:
    return with_liar(of, folder, lie, perjurer=True)


def in_round(number: int, lie: Lie) -> tuple[Lie, Any]:
    """Lie in one round; the watch that comes with it counts the rounds."""
    now = {"round": 1}

    def sometimes(what: str, encoding: Any, masked: Any) -> Any:
        return lie(what, encoding, masked) if now["round"] == number else masked

    def watch(event: Event) -> None:
        if isinstance(event, RoundEnds):
            now["round"] += 1

    return sometimes, watch


def test_a_poisoned_round_is_voted_down_although_its_hospital_lies_in_the_vote(tmp_path: Path) -> None:
    of, states = fast(rounds=3, **MARGIN), [State(None, first(fast()), None, ())]  # type: ignore[arg-type]
    lie, count = in_round(2, far)

    def watch(event: Event) -> None:
        count(event)
        if isinstance(event, RoundEnds):
            states.append(event.state)

    final = run_study(of, with_perjurer(of, tmp_path, lie), watch, None, consortium())
    one, two, three = final.history
    assert [record.counted for record in final.history] == [True, False, True]
    assert two.refused == (
        "the next model of round 2 is refused by vote: 3 of 4 hospitals (a, c, d) find it worse than the accepted one "
        "by more than 4 on their validation patients"
    )
    assert two.against == ("a", "c", "d")
    assert two.refused in gaps(final.history)
    assert states[2].parameters.tobytes() == states[1].parameters.tobytes()
    assert states[3].parameters.tobytes() != states[2].parameters.tobytes()
    assert one.against == three.against == ()


def test_without_the_vote_the_same_lie_spoils_the_model(tmp_path: Path) -> None:
    with_vote, without = fast(rounds=2, **MARGIN), fast(rounds=2)
    lie, watch = in_round(2, far)
    kept = run_study(with_vote, with_perjurer(with_vote, tmp_path / "with", lie), watch, None, consortium())
    lie, watch = in_round(2, far)
    spoilt = run_study(without, with_perjurer(without, tmp_path / "without", lie), watch, None, consortium())
    assert np.abs(kept.parameters).max() < 1.5 < 3 < np.abs(spoilt.parameters).max()


@pytest.mark.parametrize("secure", [True, False])
def test_where_nothing_is_refused_the_model_is_that_of_the_study_without_a_vote(tmp_path: Path, secure: bool) -> None:
    found = []
    for place, keys in enumerate(({}, MARGIN)):
        of = fast(secure, rounds=2, **keys)
        memory = Memory(of, tmp_path / str(place))
        final = run_study(of, memory, quiet, None, consortium() if secure else None)
        found.append(final.parameters.tobytes())
        assert sum(kind == "vote" for _, kind, _ in memory.heard) == (2 * len(NAMES) if keys else 0)
    assert found[0] == found[1]


def test_in_the_clear_a_poisoned_round_is_voted_down_too(tmp_path: Path) -> None:
    of = fast(False, rounds=1, **MARGIN)

    def poison(who: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if who == "b" and kind == "train" and isinstance(answer, Parts):
            return Parts(answer.fields, {"update": answer.arrays["update"] + np.float32(16)})
        if who == "b" and kind == "vote" and isinstance(answer, Parts):
            return Parts(dict(answer.fields) | {"worse": 0})
        return answer

    with pytest.raises(RoundError, match="nothing was trained"):
        run_study(of, Memory(of, tmp_path, poison), watch := Kept())
    (record,) = watch.last.history
    assert record.against == ("a", "c", "d")
    assert watch.last.parameters.tobytes() == first(of).tobytes()
    assert record.validation_loss is not None  # of the model that stayed, which gives the operating point
    assert watch.last.validation is not None


@pytest.mark.parametrize("of", [shared(aggregation=MARGIN), study(privacy=DP, aggregation={"secure": True} | MARGIN)])
def test_the_vote_goes_with_differential_privacy_and_says_one_bit(tmp_path: Path, of: Study) -> None:
    of = of.model_copy(update={"training": of.training.model_copy(update={"rounds": 1})})
    memory = Memory(of, tmp_path)
    (record,) = run_study(of, memory, quiet, None, consortium()).history
    assert record.counted
    for answer in (answer for _, kind, answer in memory.heard if kind == "vote"):
        assert isinstance(answer, Parts)
        assert set(answer.fields) == {"study", "round", "worse"}
        assert {name: array.nbytes for name, array in answer.arrays.items()} == {"signature": 64}


def test_a_lone_vote_against_is_noted_and_does_not_stop_the_others(tmp_path: Path) -> None:
    of = fast(False, rounds=1, **MARGIN)

    def envious(who: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if who == "b" and kind == "vote" and isinstance(answer, Parts):
            return Parts(dict(answer.fields) | {"worse": 1})
        return answer

    (record,) = run_study(of, Memory(of, tmp_path, envious), quiet).history
    assert (record.counted, record.against) == (True, ("b",))


def forged(who: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
    """Turn the ballots of a and c over, as somebody between them and the coordinator could."""
    if who in "ac" and kind == "vote" and isinstance(answer, Parts):
        return Parts(dict(answer.fields) | {"worse": 1 - int(str(answer.fields["worse"]))}, answer.arrays)
    return answer


@pytest.mark.parametrize(
    ("alter", "word"), [(forged, "message"), (silent("a", "vote"), "crashed")], ids=["forged", "silent"]
)
def test_a_ballot_that_is_missing_or_not_signed_as_it_stands_does_not_count(
    tmp_path: Path, alter: Alter, word: str
) -> None:
    of = fast(rounds=1, **MARGIN)
    (record,) = run_study(of, Memory(of, tmp_path, alter), quiet, None, consortium()).history
    assert record.counted
    assert (record.absent[0].hospital, record.absent[0].kind) == ("a", word)


def test_too_few_votes_leave_the_model_as_it_was(tmp_path: Path) -> None:
    of = fast(rounds=1, min_hospitals=3, **MARGIN)
    with pytest.raises(RoundError, match="nothing was trained"):
        run_study(of, Memory(of, tmp_path, forged), watch := Kept(), None, consortium())
    assert watch.last.history[0].refused == "the next model of round 1 is refused: 2 hospitals voted where 3 must"


def test_the_ballots_are_kept_and_prove_who_voted_how(tmp_path: Path) -> None:
    of, group = fast(rounds=1, **MARGIN), consortium()
    memory = Memory(of, tmp_path)
    final = run_study(of, memory, quiet, None, group)
    content = group.journal.read("ballots.000001")
    assert content is not None
    ballots = read_ballots(content)
    assert set(ballots) == set(NAMES)
    models = VoteRequest(of.digest(), 1, first(of), final.parameters).models()
    for name, (worse, signature) in ballots.items():
        check_ballot(identity(name).public, Ballot(of.digest(), 1, worse, signature), RUN, models)
        with pytest.raises(MessageError, match="a signature of the ballot is not valid"):
            check_ballot(identity(name).public, Ballot(of.digest(), 1, not worse, signature), RUN, models)
        with pytest.raises(MessageError, match="a signature of the ballot is not valid"):
            check_ballot(identity(name).public, Ballot(of.digest(), 2, worse, signature), RUN, models)


class Killed(Memory):
    """A coordinator that is killed when one kind of question was answered by some hospitals in the second round."""

    kind, after, round = "", 0, 2

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        for count, answered in enumerate(super().ask(kind, questions)):
            number = next(iter(questions.values())).fields.get("round")
            if (kind, count, number) == (self.kind, self.after, self.round):
                raise KeyboardInterrupt
            yield answered


@pytest.mark.parametrize(
    ("secure", "kind", "after"),
    [(True, "train", 2), (True, "vote", 0), (True, "vote", 3), (True, "evaluate", 1), (False, "vote", 3)],
)
def test_a_run_that_was_killed_at_any_stage_of_the_vote_ends_as_one_that_was_not(
    tmp_path: Path, secure: bool, kind: str, after: int
) -> None:
    of = fast(secure, rounds=2, **MARGIN)
    whole = run_study(of, Memory(of, tmp_path / "whole"), quiet, None, consortium() if secure else None)
    group = consortium() if secure else None
    memory = Killed(of, tmp_path / "cut")
    memory.kind, memory.after = kind, after
    with pytest.raises(KeyboardInterrupt):
        run_study(of, memory, watch := Kept(), None, group)
    again = run_study(of, Memory(of, tmp_path / "cut"), quiet, watch.last, group)
    assert again.parameters.tobytes() == whole.parameters.tobytes()
    assert [record.counted for record in again.history] == [True, True]


def test_a_hospital_votes_once_in_a_round_also_after_a_restart(tmp_path: Path) -> None:
    of = fast(rounds=3, **MARGIN)
    memory = Memory(of, tmp_path)
    zeros = np.zeros(memory.at["a"].built.layout.size, np.float32)
    memory.at["a"].desk.join(RUN)  # type: ignore[union-attr]

    def ask(number: int, following: np.ndarray) -> Any:
        question = VoteRequest(of.digest(), number, zeros, following).parts()
        return Memory(of, tmp_path).at["a"].answer("vote", question)

    before = ask(2, zeros + np.float32(0.5))
    assert ask(2, zeros + np.float32(0.5)) == before
    for number in (1, 2):
        with pytest.raises(MessageError, match="this hospital voted in round 2, on different models"):
            ask(number, zeros + np.float32(0.25))
    ask(3, zeros + np.float32(0.25))
    desk = Memory(of, tmp_path).at["a"].desk
    assert desk
    judged = iter([True])  # it is judged once: another look could end in another vote
    first = desk.vote(4, b"models", lambda: next(judged))
    assert first[0]
    assert Memory(of, tmp_path).at["a"].desk.vote(4, b"models", lambda: next(judged)) == first  # type: ignore[union-attr]


def test_a_hospital_does_not_vote_where_the_study_has_no_vote_or_no_such_round(tmp_path: Path) -> None:
    for of, number, said in (
        (fast(False), 1, "holds no vote"),
        (fast(False, **MARGIN), 4, "is not one of the study's 2 rounds"),
    ):
        hospital = join(of, dataset(), insecure_stream(0, "a"), build(of))
        vector = networks.read_vector(networks.build(of))
        with pytest.raises(MessageError, match=said):
            hospital.answer("vote", VoteRequest(of.digest(), number, vector, vector).parts())


def test_a_model_that_gives_no_numbers_is_worse(tmp_path: Path) -> None:
    of = fast(False, **MARGIN)
    hospital = join(of, dataset(), insecure_stream(0, "a"), build(of))
    vector = networks.read_vector(networks.build(of))
    huge = np.full_like(vector, 3e38)
    for accepted, following, worse in ((vector, huge, True), (huge, huge, True), (huge, vector, False)):
        ballot = hospital.answer("vote", VoteRequest(of.digest(), 1, accepted, following).parts())
        assert isinstance(ballot, Ballot)
        assert ballot.worse == worse


def test_a_model_that_stays_is_judged_once_so_that_a_last_round_refused_has_an_operating_point(tmp_path: Path) -> None:
    tables = {"training": {"rounds": 3}, "model": {"network": "tiny-cnn"}, "evaluation": {"every": 10}}
    of = study(aggregation={"secure": True} | MARGIN, **tables)
    lie, watch = in_round(3, far)
    final = run_study(of, with_perjurer(of, tmp_path, lie), watch, None, consortium())
    assert [record.counted for record in final.history] == [True, True, False]
    assert [record.validation_loss is not None for record in final.history] == [False, False, True]
    assert final.validation is not None
    assert final.validation.records > 0


def test_a_ballot_is_one_bit() -> None:
    ballot = Ballot("0" * 64, 1, True, bytes(64)).parts()
    assert Ballot.parse(ballot) == Ballot("0" * 64, 1, True, bytes(64))
    for fields, arrays in (({"worse": 2}, {}), ({"worse": -1}, {}), ({}, {"signature": np.zeros(63, np.uint8)})):
        with pytest.raises(MessageError):
            Ballot.parse(Parts(dict(ballot.fields) | fields, dict(ballot.arrays) | arrays))


def test_a_study_without_the_new_keys_keeps_its_digest_and_says_nothing_of_a_vote() -> None:
    from wardround_common.study.words.describe import describe

    def said(of: Study) -> str:
        return " ".join(sentence for passage in describe(of) for sentence in passage.sentences)

    plain, voted = secure_study(), secure_study(**MARGIN, clip_statements=True)
    assert b"vote_margin" not in plain.canonical()
    assert b"clip_statements" not in plain.canonical()
    assert plain.digest() != voted.digest()
    assert "vote" not in said(plain)
    assert "one bit, the hospital's vote" in said(voted)
    assert "a signed statement of the limits" in said(voted)
