"""Slices among others of their series between services: shared noise, kill -9, ledgers, the release."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from processes import NAMES, Site, services
from series_made import slices
from tiny_dicom import save
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.source import Source

pytestmark = pytest.mark.slow
PATIENTS, PLACES, ROUNDS = 40, 5, 4
SHARED = {
    "mechanism": "dp-sgd",
    "trust": "distributed",
    "epsilon": 8.0,
    "delta": 1e-5,
    "clip_norm": 0.1,
    "sampling_rate": 0.5,
    "dropouts": 0,
    "colluders": 0,
}


def series_of(site: Site) -> None:
    """Give each hospital series in the place of its images: a finding is a bright spot on two slices in a row."""
    rng = np.random.default_rng(3)
    for name in NAMES:
        folder = site.folder / "data" / name
        shutil.rmtree(folder)
        lines = ["file,label"]
        for patient in range(PATIENTS):
            pixels = rng.integers(0, 300, (PLACES, 24, 24))
            at = int(rng.integers(0, PLACES - 1))
            pixels[at : at + 2, 8:16, 8:16] += 600
            who = f"{name[-1].upper()}{patient}"
            for place, one in enumerate(slices(PLACES, PatientID=who, PatientName="", StudyInstanceUID=generate_uid())):
                one.Rows = one.Columns = 24
                one.PixelData = pixels[place].astype(np.uint16).tobytes()
                path = save(one, folder / who / f"{9 - place}.dcm")
                lines.append(f"{path.relative_to(folder)},{'finding' if place in (at, at + 1) else 'normal'}")
        (folder / "labels.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with services(tmp_path_factory.mktemp("s"), prepare=series_of) as made:
        yield made


def test_a_run_on_slices_outlives_kill_9_and_charges_each_patient_once_a_round(site: Site, tmp_path: Path) -> None:
    of = site.study(
        "slices",
        data={"modalities": ["MR"], "image_size": 24, "record": "slice", "intensity": "percentile"},
        model={"network": "halves", "train": "head"},
        training={"rounds": ROUNDS, "local_epochs": None, "batch_size": 12, "learning_rate": 2.0},
        privacy=SHARED,
        aggregation={"secure": True, "min_hospitals": 3},
        evaluation={"every": ROUNDS},
    )
    site.approve_here(of)
    site.begin(of)
    site.until(lambda: site.status("slices")["round"] >= 1)
    site.kill("hospital-c")
    site.kill("C")
    site.start("C")
    site.start("hospital-c")
    standing = site.until_over("slices")
    assert (standing["stage"], standing["round"]) == ("done", ROUNDS), site.logs()
    assert site.each_charged(of, ROUNDS)
    for name in NAMES:
        source = Source(site.folder / "data" / name, tmp_path / name)
        data = prepare(source, of, *take_in(source, of))
        trained = len(np.unique(data.train.patients))
        assert len(data.train) == PLACES * trained
        (study,) = json.loads(site.run("hospital", "budget", "--state", name, "--json"))["studies"]
        assert (study["charged"], study["patients"]) == (ROUNDS, trained)  # patients, and not their slices
        assert 0 < study["epsilon_spent"] <= 8
        assert "intact" in site.run("hospital", "ledger", "verify", "--state", name)
    said = site.run("coordinator", "export", "C", "slices")
    signer = said.rpartition("Signed, fingerprint ")[2].strip()
    assert "Verified." in site.run("release", "verify", "slices", "--coordinator", signer)
    lines = site.run("predict", "slices", "data/hospital-a/A0", "--json").splitlines()
    answers = [json.loads(line) for line in lines if line.startswith("{")]
    assert [answer["images_of_series"] for answer in answers] == [PLACES] * PLACES
