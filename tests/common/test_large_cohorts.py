"""The graph of more than 100 hospitals: what holds for every choice of drop-outs, and what is left to chance."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from itertools import combinations
from math import comb

import networkx
import numpy as np
import pytest

from wardround_common.secagg.expander import (
    CIRCLE_UP_TO,
    LEAK_BITS,
    LOST_BITS,
    TRIED_BITS,
    Form,
    _tail,
    circles,
    eigenvalue,
    form_of,
)
from wardround_common.secagg.neighbours import Graph, read_places, written_places
from wardround_common.secagg.terms import Member, Terms
from wardround_common.secagg.thresholds import default_threshold, threshold_of

HOSPITALS = 128


def form(hospitals: int) -> Form:
    found = form_of(hospitals, default_threshold(hospitals))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Graph(HOSPITALS, default_threshold(HOSPITALS), seed=b"a seed")


def matrix(graph: Graph) -> np.ndarray:
    there = np.zeros((graph.hospitals, graph.hospitals))
    for place in range(graph.hospitals):
        there[place, list(graph.circle_of(place))] = 1
    return there - np.eye(graph.hospitals)


@pytest.mark.parametrize(("hospitals", "degree", "shares"), [(101, 20, 11), (200, 34, 20), (1000, 84, 58)])
def test_neighbours_are_few_where_hospitals_are_many(hospitals: int, degree: int, shares: int) -> None:
    assert (form(hospitals).degree, form(hospitals).share_threshold) == (degree, shares)


@pytest.mark.parametrize("hospitals", [101, 130, 400, 1000])
def test_what_is_left_to_chance_is_within_the_bounds_that_are_stated(hospitals: int) -> None:
    found = form(hospitals)
    assert found.leak * 2**TRIED_BITS <= 2**-LEAK_BITS
    assert found.lost <= 2**-LOST_BITS
    assert found.around < found.share_threshold <= found.degree


def test_up_to_a_hundred_nothing_is_left_to_chance() -> None:
    assert all(form_of(n, default_threshold(n)) is None for n in range(2, CIRCLE_UP_TO + 1))


def test_tails_are_those_of_every_possible_draw_counted_one_by_one() -> None:
    draws = list(combinations(range(9), 4))  # 9 others, of whom 0, 1 and 2 are marked
    for least in range(6):
        counted = Fraction(sum(sum(one < 3 for one in draw) >= least for draw in draws), comb(9, 4))
        assert _tail(9, 3, 4, least) == pytest.approx(float(counted))


def test_neighbours_are_mutual_and_all_have_as_many(graph: Graph) -> None:
    there = matrix(graph)
    assert (there == there.T).all()
    assert (there.sum(axis=0) == graph.degree).all()
    assert not there.diagonal().any()


def test_the_eigenvalue_is_that_of_the_graph_that_is_used(graph: Graph) -> None:
    values = np.linalg.eigvalsh(matrix(graph))
    assert values[-1] == pytest.approx(graph.degree)
    assert max(values[-2], -values[0]) == pytest.approx(eigenvalue(HOSPITALS, graph.degree) / 1000, abs=2e-3)


def test_no_list_that_hospitals_confirm_cuts_honest_hospitals_apart(graph: Graph) -> None:
    """The coordinator sees the graph, has five colluders around its victim, and calls whom it likes dropped.

    It tries to cut off the hospitals nearest to each one in turn: as many as it can, from one to half of them.
    """
    edges = networkx.from_numpy_array(matrix(graph))
    everybody = set(range(HOSPITALS))
    for victim in range(0, HOSPITALS, 8):
        colluders = set(graph.circle_of(victim)[:5]) - {victim}
        near = [place for place in networkx.bfs_tree(edges, victim) if place not in colluders]
        for size in (1, 2, 3, 5, 8, 13, 21, 34, 55):
            part = set(near[:size])
            dropped = {other for place in part for other in edges[place]} - part - colluders
            if HOSPITALS - len(dropped) >= graph.threshold:
                assert graph.deserted(everybody - dropped)


def test_whatever_is_dropped_within_the_rules_the_honest_ones_hang_together(graph: Graph) -> None:
    edges, draw = networkx.from_numpy_array(matrix(graph)), np.random.default_rng(0)
    assert graph.form is not None
    for _ in range(30):
        gone = draw.permutation(HOSPITALS)[: HOSPITALS - graph.threshold + graph.form.colluders].tolist()
        assert not graph.deserted(set(range(HOSPITALS)) - set(gone[graph.form.colluders :]))
        assert networkx.is_connected(edges.subgraph(set(range(HOSPITALS)) - set(gone)))


def test_another_seed_draws_another_graph_and_the_same_seed_the_same() -> None:
    degree = form(HOSPITALS).degree
    assert circles(HOSPITALS, degree, b"one") == circles.__wrapped__(HOSPITALS, degree, b"one")
    assert circles(HOSPITALS, degree, b"one") != circles(HOSPITALS, degree, b"other")


def test_more_colluders_that_a_study_states_mean_more_shares() -> None:
    many, few = (form_of(400, threshold_of(400, colluders=c), c) for c in (60, 0))
    assert many is not None
    assert few is not None
    assert many.colluders == 60
    assert many.share_threshold > few.share_threshold


@pytest.mark.parametrize("hospitals", [5, CIRCLE_UP_TO, CIRCLE_UP_TO + 1, 1000])
def test_places_are_read_as_they_were_written(hospitals: int) -> None:
    places = (0, hospitals // 2, hospitals - 1)
    assert read_places(written_places(hospitals, *places), hospitals) == places


def test_the_graph_is_drawn_by_a_hash_as_slow_as_the_specification_says() -> None:
    members = tuple(Member(f"{place:03}", bytes([place]) * 32, bytes(64)) for place in range(101))
    terms = Terms("ab" * 32, b"r" * 16, "train", 1, b"q" * 32, b"o" * 32, members, 80, colluders=10, dropouts=20)
    listed = [part for member in members for part in (member.name.encode(), member.agreement)]
    everything = [b"wardround secagg 1", b"graph", terms.study.encode(), terms.run, terms.roster, *listed]
    content = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in everything)).digest()
    assert terms.graph.seed == hashlib.pbkdf2_hmac("sha256", content, b"wardround secagg 1 graph", 2**17)
