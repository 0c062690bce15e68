"""What the step ``crop`` gives: chest X-rays as they are stored, and in black frames of another place each.

Run with ``python benchmarks/crop.py DATA``, a folder with one sub-folder a hospital, or ``make bench-crop DATA=DIR``.
*Framed*: each image is put on a black square of twice its larger side, at a place drawn for it, as if the field of view
were much larger than the chest. Nobody's images are so by this rule; it shows what the step is for. Framed images are
written beside the runs, under ``--out``, where finished runs are kept too, and the next call goes on.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from measure import report
from trained import Arguments, arguments, by_site, hospitals_in, run, show
from wardround_client.images import read_image
from wardround_common.results import FEDERATED
from wardround_common.study.file import Study, read_study

STUDY = Path(__file__).parent / "studies" / "chest-xray.toml"
ROUNDS = 8
STEPS: dict[str, list[dict[str, object]]] = {"whole": [], "cut": [{"step": "crop", "above": 0.1, "margin": 0.05}]}
STORED, FRAMED = "stored", "framed"
MEANINGS = {
    "auroc_crop_stored_whole": "chest X-rays as they are stored, not cut: mean over hospitals and seeds",
    "auroc_crop_stored_cut": "the same, cut by the step crop",
    "auroc_crop_framed_whole": "the same images, each in a black frame at a place of its own, not cut",
    "auroc_crop_framed_cut": "the same frames, cut by the step crop",
}


def framed(source: Path, folder: Path) -> Path:
    """Write the images of hospitals in frames, unless they are there, and return their folder."""
    done = folder / "done"
    if done.exists():
        return folder / "hospitals"
    for path in sorted(source.rglob("*")):
        target = folder / "hospitals" / path.relative_to(source)
        if path.name == "labels.csv":
            target.write_bytes(path.read_bytes())
        elif path.suffix == ".dcm":
            target.parent.mkdir(parents=True, exist_ok=True)
            frame(path, target)
    done.touch()
    return folder / "hospitals"


def frame(path: Path, target: Path) -> None:
    """Write one image on a black square of twice its larger side, uncompressed, at a place that its name decides."""
    (pixels,) = read_image(path).pixels  # white is high, also of MONOCHROME1
    made, rows_columns = dcmread(path), pixels.shape
    side = 2 * max(rows_columns)
    rng = np.random.default_rng(list(path.name.encode()))
    top, left = (int(rng.integers(0, side - length + 1)) for length in rows_columns)
    canvas = np.zeros((side, side), np.uint16)
    canvas[top : top + rows_columns[0], left : left + rows_columns[1]] = np.rint(pixels - pixels.min())
    made.Rows = made.Columns = side
    made.PhotometricInterpretation, made.PixelRepresentation = "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    for word in ("RescaleSlope", "RescaleIntercept", "RescaleType", "PresentationLUTShape", "WindowCenter"):
        if word in made:
            delattr(made, word)
    made.PixelData = canvas.tobytes()
    made["PixelData"].VR = "OW"
    made["PixelData"].is_undefined_length = False
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(target, enforce_file_format=True)


def study(how: str) -> Study:
    """Return the study of chest X-rays with that preparation."""
    return read_study(STUDY).but({"training.rounds": ROUNDS, "data.steps": STEPS[how]})


def main() -> None:
    """Train each way on each kind of images, print the means and write them."""
    typed = arguments(__doc__.splitlines()[0], "crop", (STORED, FRAMED))
    data = hospitals_in(typed.data, "chest_xray")
    figures: dict[str, float] = {}
    for kind in typed.only:
        folder = data if kind == STORED else framed(data, typed.out / "images")
        of_kind: Arguments = replace(typed, data=folder, out=typed.out / kind)
        for how in STEPS:
            runs = [run(study(how), seed, of_kind, baselines=False) for seed in typed.seeds]
            means = [statistics.mean(by_site(results, FEDERATED, "auroc").values()) for results in runs]
            print(f"{kind}, {how}: {', '.join(f'{value:.3f}' for value in means)}")
            figures[f"auroc_crop_{kind}_{how}"] = statistics.mean(means)
    if typed.as_stated and set(typed.only) == {STORED, FRAMED}:
        report("crop", figures, MEANINGS)
    else:
        show(figures)


if __name__ == "__main__":
    main()
