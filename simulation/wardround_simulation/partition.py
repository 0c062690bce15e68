"""One folder of images split into several hospitals, by patient."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword

from wardround_client.intake.duplicates import MOST_PAIRS, joined_patients, near_pairs
from wardround_client.intake.instance import Instance
from wardround_client.intake.kept_pairs import near_pairs_kept
from wardround_client.preparation.dataset import strata_by_patient, take_in, wanted_images
from wardround_client.preparation.source import Source
from wardround_client.preparation.splitting import LEAST_PATIENTS
from wardround_common.counting import count
from wardround_common.errors import DataError
from wardround_common.one_form import one_form
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_simulation.federation import Site

DRAWS = 100


def cut(pool: Source, study: Study, partition: str, hospitals: int | None) -> tuple[Site, ...]:
    """Cut the pool's patients into hospitals; the study's seed decides, and no patient is in two.

    Patients who share near-copies of an image come into one hospital, where they stay in one split; ``by:KEYWORD``
    follows the attribute alone, and so do the others where too few groups would be left.

    ``partition``: ``iid`` deals patients out at random; ``dirichlet:ALPHA`` gives each hospital its own share of each
    class, the smaller ALPHA the more different (Hsu, Qi and Brown 2019, section 3); ``by:KEYWORD`` makes one hospital
    of each value of a DICOM attribute, such as ``by:ManufacturerModelName``, which needs no number of hospitals. Who
    has no DICOM image is then in none, as each site says.

    Raises:
        DataError: there is no such partition, or it leaves a hospital with too few patients.
    """
    kind, value = check_partition(partition, hospitals)
    index, found = take_in(pool, study)
    used, _ = wanted_images(pool, study, index, found)
    highest = strata_by_patient(pool, study, used, found)
    patients = sorted(highest)
    together = _together(pool, used, patients, (hospitals or 0) * LEAST_PATIENTS)
    if kind == "by":
        groups = _by_attribute(pool, used, value)
        if len(groups) < 2:
            what = f"one value of {value}" if groups else "no attributes, since no file is DICOM"
            raise DataError(
                f"the images have {what}, and make no two hospitals by it",
                where=str(pool.folder),
                do="Use another attribute, iid, or dirichlet:ALPHA.",
            )
    elif kind == "iid":
        groups = _spread(_iid(sorted(together), _count(hospitals), study.model.seed), together)
    else:
        of_class = [(name, max(highest[one] for one in joined)) for name, joined in sorted(together.items())]
        groups = _spread(_dirichlet(of_class, _count(hospitals), float(value), study.model.seed), together)
    small = [len(group) for group in groups if len(group) < LEAST_PATIENTS]
    if small or len(groups) < 2:
        raise DataError(
            f"{len(groups)} hospitals of {LEAST_PATIENTS} patients or more cannot be made of "
            f"{count(len(patients), 'patient')}",
            where=str(pool.folder),
            do="Ask for fewer hospitals, a larger dirichlet ALPHA, or another attribute.",
        )
    width, said = len(str(len(groups))), _left_out(len(patients) - sum(map(len, groups)), value)
    return tuple(
        Site(f"hospital-{number:0{width}}", (replace(pool, patients=frozenset(group)),), said)
        for number, group in enumerate(groups, start=1)
    )


def check_partition(how: str, hospitals: int | None) -> tuple[str, str]:
    """Return a partition's kind and value, as they stand on either side of its colon.

    Raises:
        DataError: there is no such partition, or it needs a number of hospitals.
    """
    kind, _, value = how.partition(":")
    dirichlet = kind == "dirichlet" and re.fullmatch(r"\d*\.?\d+", value) and float(value) > 0
    if not (dirichlet or (kind == "iid" and not value) or (kind == "by" and value)):
        raise DataError(
            f"there is no partition {how!r}", do="Use iid, dirichlet:ALPHA (such as dirichlet:0.5) or by:KEYWORD."
        )
    if kind != "by":
        _count(hospitals)
    elif tag_for_keyword(value) is None:
        raise DataError(f"DICOM has no attribute {value!r}", do="Use a keyword such as ManufacturerModelName.")
    return kind, value


def _together(pool: Source, used: list[Instance], patients: list[str], least: int) -> dict[str, list[str]]:
    """Group the patients who share near-copies, by the first of their names; each alone if fewer groups are left."""
    pairs = near_pairs_kept(used, pool.state)
    if len(pairs) >= MOST_PAIRS:  # those of one patient with one another were counted too, and others left out for them
        pairs = near_pairs(used, [instance.patient for instance in used])
    joined = joined_patients(used, pairs)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in patients:
        groups[joined[name]].append(name)
    return groups if len(groups) >= least else {name: [name] for name in patients}


def _spread(groups: list[list[str]], together: dict[str, list[str]]) -> list[list[str]]:
    return [[patient for name in group for patient in together[name]] for group in groups]


def _count(hospitals: int | None) -> int:
    if hospitals is None or hospitals < 2:
        raise DataError("this partition needs a number of hospitals", do="Say how many with --split, 2 or more.")
    return hospitals


def _left_out(count: int, keyword: str) -> str:
    if not count:
        return ""
    who, are = (f"{count:,} patients", "are") if count > 1 else ("One patient", "is")
    return (
        f"{who} of the pool {are} in no hospital: none of their images is DICOM, so that no file states {keyword} of "
        "them."
    )


def _iid(patients: list[str], hospitals: int, seed: int) -> list[list[str]]:
    order = insecure_stream(seed, "partition").permutation(len(patients))
    return [[patients[place] for place in order[start::hospitals]] for start in range(hospitals)]


def _dirichlet(patients: list[tuple[str, int]], hospitals: int, alpha: float, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(insecure_stream(seed, "partition").below(2**63))
    groups: list[list[str]] = []
    for _ in range(DRAWS):
        groups = [[] for _ in range(hospitals)]
        for label in sorted({label for _, label in patients}):
            names = [name for name, theirs in patients if theirs == label]
            rng.shuffle(names)
            cuts = (np.cumsum(rng.dirichlet(np.full(hospitals, alpha)))[:-1] * len(names)).round().astype(int)
            for group, part in zip(groups, np.split(np.array(names, object), cuts), strict=True):
                group.extend(part)
        if min(map(len, groups)) >= LEAST_PATIENTS:
            break  # else draw again, as those who use this partition do
    return groups


def _by_attribute(pool: Source, used: list[Instance], keyword: str) -> list[list[str]]:
    if pool.arrays:
        raise DataError("arrays have no DICOM attributes to be split by", do="Use iid, or dirichlet:ALPHA.")
    value_of: dict[str, str] = {}
    for instance in used:
        if instance.patient not in value_of and not instance.plain:
            header = pydicom.dcmread(pool.folder / instance.file, stop_before_pixels=True, specific_tags=[keyword])
            value_of[instance.patient] = one_form(str(header.get(keyword, "")))
    groups: dict[str, list[str]] = defaultdict(list)
    for patient, value in sorted(value_of.items()):
        groups[value].append(patient)
    return [groups[value] for value in sorted(groups)]
