"""A simulated hospital is its sub-folder, whatever file system wrote its name."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from wardround_common.errors import DataError
from wardround_simulation.places import Places, sites_in

pytestmark = pytest.mark.usefixtures("undrawn")

PLACES = Places(None, None, frozenset(), None)
DECOMPOSED, COMPOSED = (unicodedata.normalize(form, "Köln") for form in ("NFD", "NFC"))


def test_a_folder_of_a_mac_is_the_hospital_of_that_name(tmp_path: Path) -> None:
    (tmp_path / DECOMPOSED).mkdir()
    (tmp_path / "Bonn").mkdir()
    sites = sites_in(tmp_path, PLACES)
    assert [site.name for site in sites] == ["Bonn", COMPOSED]
    assert sites[1].sources[0].folder == tmp_path / DECOMPOSED


def test_two_hospitals_whose_names_differ_in_their_form_only_are_refused(tmp_path: Path) -> None:
    (tmp_path / DECOMPOSED).mkdir()
    (tmp_path / COMPOSED).mkdir()
    with pytest.raises(DataError, match="two hospitals are called"):
        sites_in(tmp_path, PLACES)


def test_a_folder_that_is_sorted_into_classes_is_one_hospital(tmp_path: Path) -> None:
    for name in ("Normal", "finding"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="looks like one hospital: its 2 sub-folders are named after the study's"):
        sites_in(tmp_path, PLACES, ("normal", "finding", "benign"))
    assert len(sites_in(tmp_path, PLACES, ("normal", "tumour"))) == 2
