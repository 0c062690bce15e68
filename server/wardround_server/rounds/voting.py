"""The vote on a round's next model: it is accepted only if fewer than half of the hospitals find it worse.

Each hospital has one vote, whatever it weighs, and the coordinator sees whose it is: a hospital that spoils a model has
one vote of n to hide it (docs/secagg.md, section 14).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wardround_common.counting import count
from wardround_common.errors import MessageError
from wardround_common.messages.parameters import Vector
from wardround_common.messages.rounds import Failure
from wardround_common.messages.vote import Ballot, VoteRequest, check_ballot, write_ballots
from wardround_common.results import Absence
from wardround_common.study.file import Study
from wardround_server.rounds.exchange import Exchange
from wardround_server.rounds.heard import absence, check_answers
from wardround_server.rounds.secure_rounds import Consortium


@dataclass(frozen=True)
class Vote:
    """How the hospitals voted on a round's next model."""

    round: int
    against: tuple[str, ...]
    in_favour: tuple[str, ...]
    absent: tuple[Absence, ...]

    def refusal(self, study: Study) -> str:
        """Say in one sentence why the next model is refused; nothing if it is accepted."""
        votes, least = len(self.against) + len(self.in_favour), study.aggregation.min_hospitals
        if votes < least:
            return (
                f"the next model of round {self.round} is refused: {count(votes, 'hospital')} voted where {least} must"
            )
        if 2 * len(self.against) < votes:
            return ""
        return (
            f"the next model of round {self.round} is refused by vote: {len(self.against)} of {votes} hospitals "
            f"({', '.join(self.against)}) find it worse than the accepted one by more than "
            f"{study.aggregation.vote_margin:g} on their validation patients"
        )


def hold_vote(
    study: Study,
    exchange: Exchange,
    hospitals: Sequence[str],
    models: tuple[Vector, Vector],
    number: int,
    consortium: Consortium | None,
) -> Vote:
    """Ask the hospitals of a round's sum whether the second of two models is worse than the first, the accepted one.

    With secure sums each ballot is signed, and all are kept next to the notes of the run's sums.
    """
    request = VoteRequest(study.digest(), number, *models)
    named, question = request.models(), request.parts()
    here = set(exchange.hospitals())
    ballots: dict[str, Ballot] = {}
    absent = [absence(name, "silent") for name in hospitals if name not in here]
    asked = dict.fromkeys((name for name in hospitals if name in here), question)
    for name, answer in exchange.ask(VoteRequest.kind, asked):
        if isinstance(answer, Failure):
            absent.append(absence(name, answer.reason))
            continue
        try:
            ballot = Ballot.parse(answer)
            check_answers(study, ballot.study, number, ballot.round)
            if consortium:
                check_ballot(consortium.roster.keys[name], ballot, consortium.run, named)
        except MessageError as error:
            absent.append(absence(name, error.kind))
        else:
            ballots[name] = ballot
    if consortium:
        kept = {name: (ballot.worse, ballot.signature) for name, ballot in ballots.items()}
        consortium.journal.write(f"ballots.{number:06d}", write_ballots(kept))
    against = tuple(sorted(name for name, ballot in ballots.items() if ballot.worse))
    return Vote(number, against, tuple(sorted(ballots.keys() - set(against))), tuple(absent))
