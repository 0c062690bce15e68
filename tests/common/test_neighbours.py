"""Who shares secrets with whom: whichever hospitals drop out or collude, the rest hang together and can open."""

from __future__ import annotations

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround_common.secagg.expander import CIRCLE_UP_TO
from wardround_common.secagg.neighbours import ALL_UP_TO, Graph
from wardround_common.secagg.thresholds import default_threshold

COHORTS = [(n, t) for n in range(2, CIRCLE_UP_TO + 1) for t in range(n // 2 + 1, n + 1)]


def edges(graph: Graph) -> networkx.Graph:
    made = networkx.empty_graph(graph.hospitals)
    made.add_edges_from((k, other) for k in range(graph.hospitals) for other in graph.circle_of(k) if other != k)
    return made


def test_up_to_twenty_hospitals_everybody_is_everybodys_neighbour() -> None:
    for hospitals, threshold in COHORTS:
        if hospitals <= ALL_UP_TO:
            assert Graph(hospitals, threshold).circle_of(0) == tuple(range(hospitals))


@pytest.mark.parametrize(("hospitals", "degree"), [(20, 19), (21, 16), (30, 22), (50, 34), (100, 68)])
def test_beyond_twenty_a_hospital_has_about_two_thirds_as_neighbours(hospitals: int, degree: int) -> None:
    graph = Graph(hospitals, default_threshold(hospitals))
    assert graph.degree == degree
    assert {len(graph.circle_of(place)) for place in range(hospitals)} == {degree + 1}


@given(st.sampled_from(COHORTS), st.data())
def test_neighbours_are_neighbours_of_each_other_and_a_hospital_is_in_its_own_circle(
    cohort: tuple[int, int], data: st.DataObject
) -> None:
    graph, place = Graph(*cohort), data.draw(st.integers(0, cohort[0] - 1))
    assert place in graph.circle_of(place)
    assert list(graph.circle_of(place)) == sorted(set(graph.circle_of(place)))
    assert all(place in graph.circle_of(other) for other in graph.circle_of(place))


@pytest.mark.parametrize("hospitals", [21, 22, 33, 60])
@pytest.mark.parametrize("share", [0.51, 0.67, 0.9])
def test_no_drop_outs_and_colluders_together_can_cut_the_others_apart(hospitals: int, share: float) -> None:
    threshold = int(hospitals * share) + 1
    dropped, colluding = hospitals - threshold, 2 * threshold - hospitals - 1
    assert networkx.node_connectivity(edges(Graph(hospitals, threshold))) > dropped + colluding


def test_colluders_never_hold_enough_shares_and_those_who_answer_always_do() -> None:
    for hospitals, threshold in COHORTS:
        graph = Graph(hospitals, threshold)
        assert 2 * threshold - hospitals - 1 < graph.share_threshold
        assert graph.circle - (hospitals - threshold) >= graph.share_threshold  # all that are missing are neighbours


@given(st.sampled_from(COHORTS), st.data())
def test_of_a_survivor_its_own_mask_and_the_seeds_with_its_dropped_neighbours_are_opened(
    cohort: tuple[int, int], data: st.DataObject
) -> None:
    graph = Graph(*cohort)
    survivors = data.draw(st.frozensets(st.integers(0, cohort[0] - 1), min_size=1))
    opened = graph.opened(survivors)
    assert set(opened) == survivors
    for dealer, places in opened.items():
        assert list(places) == [k for k in graph.circle_of(dealer) if k == dealer or k not in survivors]
