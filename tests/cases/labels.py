"""Labels: none is read in the wrong column, lost or changed without a word."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cases.case import Case, counted, listed, one_line, row_of, scan, wardround
from examples import STUDY
from tiny_dicom import RAMP, save, tiny
from wardround_client.hospital.joining import begin
from wardround_client.spending.policy import POLICY_NAME, policy_text
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.keys.identity import Identity
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed

PATIENTS = 30


def images(here: Path, *files: str) -> Path:
    for number, file in enumerate(files):
        save(tiny(RAMP + number, PatientID=f"P{number}", PatientName=""), here / "images" / file)
    return here / "images"


def decimal_comma(here: Path) -> str:
    folder = images(here, "0.dcm", "1.dcm")
    (folder / "labels.csv").write_text("file,age,label\n0.dcm,60,0\n1.dcm,61,1,0\n")
    return scan(here, "--classes", "0,1").error


def from_a_mac(here: Path) -> str:
    images(here, "normal/0.dcm", unicodedata.normalize("NFD", "Läsion") + "/1.dcm")
    found = counted(here, "--classes", unicodedata.normalize("NFC", "normal,Läsion"))
    return f"labels: {listed(dict(sorted(found['labels'].items())))}"


def no_table(here: Path) -> str:
    images(here, "0.dcm", "1.dcm")
    return f"labels {row_of(scan(here), 'Labels')}"


def one_level_down(here: Path) -> str:
    folder = images(here, "site/0.dcm", "site/1.dcm")
    (folder / "site" / "labels.csv").write_text("file,label\n0.dcm,none\n")
    return f"labels {row_of(scan(here), 'Labels')}"


def one_class(here: Path) -> str:
    folder = images(here, "0.dcm", "1.dcm")
    (folder / "labels.csv").write_text("file,label\n0.dcm,none\n1.dcm,none\n")
    return f"labels {row_of(scan(here), 'Labels')}"


def hospital(here: Path) -> HospitalFolder:
    """Set up a hospital of thirty patients to whom a study was proposed; every third has a finding."""
    rng = np.random.default_rng(0)
    for number in range(PATIENTS):
        pixels = rng.integers(0, 4000, (20, 24), dtype=np.uint16)
        save(tiny(pixels, PatientID=f"P{number}", PatientName=""), here / "images" / f"{number}.dcm")
    label(here, every=3)
    folder = HospitalFolder(here / "state")
    begin(folder, "a", here / "images", None, datetime.now(UTC))
    rules = policy_text().replace("= true", "= false").replace("smallest_cohort = 20", "smallest_cohort = 5")
    (folder.path / POLICY_NAME).write_text(rules)
    tables = {name: dict(keys) for name, keys in STUDY.items()}
    tables["data"]["modalities"] = ["MR"]
    roster = [Listed.of("a", folder.identity().public), Listed.of("other", Identity(bytes(32)).public)]
    study = Study.model_validate(tables | {"roster": [one.model_dump() for one in roster]})
    Approvals(folder.path / "studies").propose(study)
    return folder


def label(here: Path, every: int) -> None:
    rows = (f"{number}.dcm,{'none' if number % every else 'finding'}" for number in range(PATIENTS))
    (here / "images" / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n")


def approved(folder: HospitalFolder) -> str:
    """Approve, and return what was said of what this hospital brings."""
    said = one_line(wardround("hospital", "approve", "test", "--state", folder.path, "--yes").out)
    warning, brings = (said.find(words) for words in ("Warning: changed", "This hospital brings"))
    return said[warning if warning >= 0 else brings :]


def an_approval(here: Path) -> str:
    return approved(hospital(here))


def an_approval_after_a_change(here: Path) -> str:
    folder = hospital(here)
    approved(folder)
    label(here, every=2)
    return approved(folder)


CASES = (
    Case(
        "a decimal comma without quotes before the column 'label'",
        "exit code 4; line 3 has 4 cells",
        decimal_comma,
    ),
    Case("a folder 'Läsion' from a Mac, the class typed on Linux", "labels: 1 Läsion, 1 normal", from_a_mac),
    Case("images without any labels", "labels none were read; there is no labels.csv here", no_table),
    Case("a labels.csv one level down", "labels none were read; site/labels.csv may hold them", one_level_down),
    Case("labels of one class only", "labels none 2; one class only", one_class),
    Case(
        "a study that a hospital approves",
        "brings 30 images of 30 patients; none 20 images of 20 patients; finding 10 images of 10 patients",
        an_approval,
    ),
    Case(
        "the same study again, after labels were changed",
        "Warning: changed since; 'finding' now 15 images of 15 patients, before 10 images of 10 patients",
        an_approval_after_a_change,
    ),
)
