"""The whole road over a real archive: fetch two hospitals' studies, train, predict, store, and read the results back.

Run with ``make pacs-walk DATA=DIR``, where ``DIR`` holds one folder a hospital with DICOM series and outlines
(``brain_mri_volumes``: CS with structure sets, HT with segmentations). It needs Orthanc and dciodvfy. Every step is the
command that a hospital types. The model is small, and trained for two rounds: what is measured is the road.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import highdicom
import nibabel
import numpy as np
from pydicom import FileDataset, dcmread

from measure import report
from orthanc import OURS, TITLE, Orthanc, orthanc
from wardround_client.pacs.dimse import DimseArchive
from wardround_client.pacs.settings import PacsSettings, read_pacs

STUDY = Path(__file__).parent / "studies" / "brain-mri-outlines.toml"
SITES = ("CS", "HT")
SHORTER = [
    word
    for each in (
        "training.rounds=2",
        "data.image_size=64",
        "model.network=tiny-unet",
        "aggregation.min_hospitals=2",
        "aggregation.secure=false",
    )
    for word in ("--set", each)
]
SHORTER += ["--no-baselines", "--allow", "identity"]
ASKED = 3
"""Examinations of each hospital that the model is asked about."""
MEANINGS = {
    "fetched": "instances that the archive counts, and that came",
    "missing": "instances that did not come, or were refused",
    "examinations": "examinations that were predicted",
    "objects": "segmentations, reports and pictures that were stored",
    "returned": "of these, how many came back from the archive equal",
    "voxels_differing": "voxels of the segmentations that came back other than in the masks that predict wrote",
    "dciodvfy_errors": "errors that dciodvfy finds in what came back",
    "names_in_words": "patients' names or identifiers in anything that the commands printed",
    "seconds": "seconds of the whole road, training included",
}


def main(data: Path, out: Path) -> None:
    """Walk the road, count, and write the figures."""
    begun, said = time.monotonic(), ""
    environment = os.environ | {"XDG_CACHE_HOME": str(out / "cache"), "COLUMNS": "200"}

    def wardround(*words: str | Path) -> str:
        command = [str(Path(sys.executable).with_name("wardround")), *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        nonlocal said
        said += done.stdout + done.stderr
        if done.returncode:
            raise SystemExit(f"wardround {words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    hospitals = out / "hospitals"
    with orthanc(out / "archive") as archive:
        people, counts = set[str](), {"accepted": 0, "missing": 0, "refused": 0}
        pacs = out / "pacs.toml"
        pacs.write_text(f'host = "127.0.0.1"\nport = {archive.port}\ntitle = "{TITLE}"\nour_title = "{OURS}"\n')
        for site in SITES:
            listed = ["study", *_put(data / site, archive, people)]
            (out / f"{site}.csv").write_text("\n".join(listed) + "\n")
            told = wardround("pacs", "fetch", out / f"{site}.csv", "--into", hospitals / site, "--pacs", pacs, "--json")
            for word, count in json.loads(told)["instances"].items():
                counts[word] = counts.get(word, 0) + count
        wardround("simulate", STUDY, "--hospitals", hospitals, *SHORTER, "--out", out / "run")
        wardround("export", out / "run", "--out", out / "model")
        studies = [sorted(one for one in (hospitals / site).iterdir() if one.is_dir())[:ASKED] for site in SITES]
        some = [one for several in studies for one in several]
        wardround("predict", out / "model", *some, "--out", out / "answers", "--dicom", "--store", "--pacs", pacs)
        figures = _compared(out / "answers", read_pacs(pacs))
    figures |= {
        "fetched": counts["accepted"],
        "missing": counts["missing"] + counts["refused"],
        "names_in_words": sum(word in said for word in people),
        "seconds": time.monotonic() - begun,
    }
    report("pacs", {name: figures[name] for name in MEANINGS}, MEANINGS)


def _put(folder: Path, archive: Orthanc, people: set[str]) -> Iterable[str]:
    """Put a hospital's files into the archive; yield its studies, and note whose they are."""
    found: dict[str, None] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix not in ("", ".dcm"):
            continue
        content = path.read_bytes()
        header = dcmread(BytesIO(content), stop_before_pixels=True)
        people |= {str(word) for word in (header.get("PatientName"), header.get("PatientID")) if word}
        found[header.StudyInstanceUID] = None
        archive.rest("/instances", content)
    return found


def _compared(answers: Path, settings: PacsSettings) -> dict[str, float]:
    """Fetch every object again, and compare it with what was written and with the mask beside it."""
    archive, figures = DimseArchive(settings), dict.fromkeys(MEANINGS, 0.0)
    lines = [json.loads(line) for line in (answers / "predictions.jsonl").read_text().splitlines()]
    for line in lines:
        if "refused" in line:
            continue
        figures["examinations"] += 1
        for name in [one for one in line["files"] if one.endswith(".dcm")]:
            figures["objects"] += 1
            written = dcmread(answers / name)
            back: list[bytes] = []
            kept = [each for each in archive.instances(written.StudyInstanceUID) if each.uid == written.SOPInstanceUID]
            archive.send(kept, lambda content, back=back: back.append(content) is None)  # type: ignore[misc]
            if not back:
                continue
            came = dcmread(BytesIO(back[0]))
            figures["returned"] += _same(written, came)
            (answers / "came").write_bytes(back[0])
            checked = subprocess.run(["dciodvfy", answers / "came"], capture_output=True, text=True, check=False)
            figures["dciodvfy_errors"] += sum(each.startswith("Error") for each in checked.stderr.splitlines())
            if came.Modality == "SEG":
                figures["voxels_differing"] += _differing(back[0], answers / line["files"][0])
        (answers / "came").unlink(missing_ok=True)
    return figures


def _same(one: FileDataset, other: FileDataset) -> bool:
    return one.get("PixelData") == other.get("PixelData") and one.get("ContentSequence") == other.get("ContentSequence")


def _differing(segmentation: bytes, mask: Path) -> int:
    """Count the voxels of a segmentation that the NIfTI mask beside it does not hold at the same place, and others."""
    volume = highdicom.seg.segread(BytesIO(segmentation)).get_volume(
        combine_segments=True, allow_missing_positions=True
    )
    image = nibabel.load(mask)
    drawn = np.asarray(image.dataobj)  # type: ignore[attr-defined]
    to_index = np.linalg.inv(image.affine) @ np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine  # type: ignore[attr-defined]
    there = np.argwhere(volume.array)
    places = np.rint(np.c_[there, np.ones(len(there))] @ to_index.T)[:, :3].astype(int)
    found = np.zeros(drawn.shape, drawn.dtype)
    found[tuple(places.T)] = volume.array[tuple(there.T)]
    return int(np.count_nonzero(found != drawn))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        main(given.data, given.out or Path(folder))
