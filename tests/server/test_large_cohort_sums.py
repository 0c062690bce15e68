"""Secure sums of more than 100 hospitals: exact, or not read, whatever the coordinator says of who dropped out."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from consortium import RUN, Group, identity, readable, secure_study
from wardround_common.errors import MessageError, RoundError
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.exchange import Upload, write_signed
from wardround_common.secagg.shamir import combine, split, weights
from wardround_common.secagg.terms import Member
from wardround_server.rounds.secure_sum import Gathering, Total

pytestmark = pytest.mark.slow  # a hundred hospitals make their keys, masks and shares

NAMES = "a" + "".join(chr(0x4E00 + number) for number in range(101))


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Group:
    """102 hospitals: 85 must open, 17 may drop out of the list, each has 22 neighbours or so."""
    return Group(tmp_path_factory.mktemp("many"), NAMES, secure_study(min_hospitals=3))


@pytest.fixture(scope="module")
def uploads(group: Group) -> dict[str, Upload]:
    return {name: group.upload(name) for name in group.names}


def gathered(group: Group, uploads: dict[str, Upload], names: str, number: int = 1) -> Gathering:
    gathering = group.gathering(number)
    for name in names:
        gathering.add(name, uploads[name])
    return gathering


def without_neighbours_of(group: Group, place: int, left: int) -> str:
    """Name all hospitals but those of a victim's neighbours that leave it and ``left`` others in its circle."""
    graph = group.terms().graph
    gone = [other for other in graph.circle_of(place) if other != place][left:]
    return "".join(name for at, name in enumerate(group.names) if at not in gone)


def listed(group: Group, uploads: dict[str, Upload], names: str) -> bytes:
    heads = {group.terms().place(name): uploads[name].head for name in names}
    return write_signed({place: (head.content, head.signature) for place, head in heads.items()}, len(group.names))


def test_a_list_that_cuts_a_hospital_off_from_its_neighbours_is_confirmed_by_nobody(
    group: Group, uploads: dict[str, Upload]
) -> None:
    """The coordinator knows the graph, and calls those dropped who are around its victim; the list is long enough."""
    graph = group.terms().graph
    short = without_neighbours_of(group, 40, graph.share_threshold - 2)
    assert len(short) >= graph.threshold
    for name in (group.names[40], short[0], short[-1]):
        with pytest.raises(MessageError, match="without enough of its neighbours"):
            group.desk(name).confirm("train", 1, listed(group, uploads, short))
    with pytest.raises(RoundError, match="too few neighbours left to be summed with"):
        gathered(group, uploads, short).close()


def test_the_sum_is_exact_when_hospitals_drop_out_at_each_stage(group: Group, uploads: dict[str, Upload]) -> None:
    uploading, confirming, opening = group.names[4:], group.names[8:], group.names[12:]
    gathering = gathered(group, uploads, uploading)
    confirmed = gathering.close()
    for name in confirming:
        confirmed.add(name, group.desks[name].confirm("train", 1, confirmed.question()))
    opened = confirmed.close()
    for name in opening:
        opened.add(name, group.desks[name].open("train", 1, opened.signatures(), opened.sealed_for(name)))
    assert readable(opened.total()) == group.expected(uploading)
    # A hospital signs one list: the coordinator that now says that more had dropped out gets nothing.
    with pytest.raises(MessageError, match="different list of survivors"):
        group.desks[confirming[0]].confirm("train", 1, listed(group, uploads, group.names[5:]))


def test_a_list_that_leaves_just_enough_neighbours_is_summed_exactly(group: Group) -> None:
    least = without_neighbours_of(group, 40, group.terms().graph.share_threshold - 1)
    assert readable(group.sum(least, least, least, 2)) == group.expected(least)


def test_hospitals_that_vanish_around_another_one_before_the_opening_do_not_have_it_blamed(group: Group) -> None:
    graph, names = group.terms().graph, group.names
    gathering = gathered(group, {name: group.upload(name, number=3) for name in names}, names, 3)
    confirmed = gathering.close()
    for name in names:
        confirmed.add(name, group.desks[name].confirm("train", 3, confirmed.question()))
    opened = confirmed.close()
    gone = [place for place in graph.circle_of(40) if place != 40][: graph.hospitals - graph.threshold]
    for place, name in enumerate(names):
        if place not in gone:
            opened.add(name, group.desks[name].open("train", 3, opened.signatures(), opened.sealed_for(name)))
    with pytest.raises(
        RoundError, match=r"hold shares of .* opened the sum of round 3 \(train\) where \d+ must"
    ) as lost:
        opened.total()
    assert lost.value.do.startswith("The round is abandoned and none of it was read. Wait")


def test_as_many_colluding_neighbours_as_are_allowed_for_cannot_open_a_seed_and_one_share_more_can(
    group: Group,
) -> None:
    graph, secret = group.terms().graph, os.urandom(32)
    assert graph.form is not None
    circle = graph.circle_of(7)
    shares = dict(zip(circle, split(secret, graph.share_threshold, circle, os.urandom), strict=True))
    enough = circle[: graph.share_threshold]
    assert combine(shares, weights(enough)) == secret
    few = enough[: max(graph.form.around, graph.share_threshold - 1)]
    with suppress(MessageError):  # it may not even have 32 bytes
        assert combine(shares, weights(few)) != secret


def test_the_graph_changes_with_the_key_of_any_hospital_and_with_the_run_and_not_with_round_or_question(
    group: Group,
) -> None:
    terms = group.terms()
    other = Member.signed(group.names[5], identity(group.names[5]), AgreementKey(b"k" * 32).public, terms.study, RUN)
    members = tuple(other if member.name == other.name else member for member in terms.members)
    seed = terms.graph.seed
    assert replace(terms, members=members).graph.seed != seed
    assert replace(terms, run=bytes(16)).graph.seed != seed
    assert replace(terms, round=9, question=b"q" * 32, what="evaluate").graph.seed == seed


def test_hospitals_that_were_shown_other_members_make_no_sum(group: Group, uploads: dict[str, Upload]) -> None:
    """Whoever leaves a hospital out of the cohort, so as to get another graph, gets uploads under other terms."""
    fewer = group.names[:-1]
    terms = replace(group.terms(), members=tuple(group.members[:-1]))
    vector = group.vectors[group.names[0]]
    gathering = Gathering(terms, group.roster, Total(np.zeros_like(vector.update), np.zeros_like(vector.counts)))
    with pytest.raises(MessageError):
        gathering.add(fewer[0], uploads[fewer[0]])
