"""How fast a scan is, against a bare loop of ``pydicom.dcmread`` and ``pixel_array`` over the same files.

Run with ``make bench-scan DATA=DIR``, for any folder of DICOM; without DIR it makes 600 files of its own in several
transfer syntaxes. The loop keeps nothing. The scan checks each file, decodes it, looks for what identifies a patient,
takes the digest and the likeness of its pixels and writes the index. Loop and scans take turns after a first round
that warms the disk's cache; figures are ratios of medians. The loop skips what it cannot read, as the scan does.

The loop is one process. A scan with one worker has two: what needs a codec is decoded beside the process that scans.
So the processor time of both together is a figure of its own.

Preparing is what a study does next with what the scan accepted: each image in the form of a network of 64 px, scaled by
percentiles. It starts from the pixels that the scan kept and decodes nothing a second time.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from measure import report
from wardround_client.intake import kept_pixels
from wardround_client.intake.index import scan
from wardround_client.intake.instance import Index
from wardround_client.preparation.kept_images import keep_images
from wardround_client.preparation.source import Source
from wardround_common.study.data import Data

TURNS = 7
MEANINGS = {
    "scan_ratio_1_worker": "time of a first scan over the bare loop's, one worker (at most 1.3)",
    "scan_processor_ratio_1_worker": "processor time of that scan, of its two processes, over the bare loop's",
    "scan_ratio_2_workers": "the same with two workers",
    "scan_and_prepare_over_loop": "time of a first scan and of preparing all images, one worker (at most 1.6)",
    "prepare_ratio": "of that, preparing",
    "kept_over_files": "size of the pixels that are kept over that of the files",
    "rescan_ratio": "time of a second scan, nothing changed, over the bare loop's",
    "loop_files_per_s": "files that the bare loop reads in a second",
    "files": "files in the folder",
}


def main(folder: Path) -> None:
    """Measure in turns, print the table and write the figures."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    readable = bare_loop(files)
    loop: list[float] = []
    one: list[float] = []
    two: list[float] = []
    again: list[float] = []
    preparing: list[float] = []
    processor: list[float] = []
    for turn in range(TURNS + 1):
        with tempfile.TemporaryDirectory() as state:
            first, second = Path(state) / "1", Path(state) / "2"
            used = [processor_seconds()]
            times = (
                seconds(bare_loop, readable, used=used),
                seconds(scan, folder, state=first, workers=1, used=used),
                seconds(scan, folder, state=second, workers=2),
                seconds(scan, folder, state=first, workers=1),
                seconds(prepare, folder, first, scan(folder, state=first)),
            )
            kept_bytes = sum(file.stat().st_size for file in (first / kept_pixels.FOLDER).glob("*"))
        if turn:  # the first turn warms the cache and starts the readers
            for kept, spent in zip((loop, one, two, again, preparing), times, strict=True):
                kept.append(spent)
            processor.append((used[2] - used[1]) / (used[1] - used[0]))
    bare = statistics.median(loop)
    figures = {
        "scan_ratio_1_worker": statistics.median(one) / bare,
        "scan_processor_ratio_1_worker": statistics.median(processor),
        "scan_ratio_2_workers": statistics.median(two) / bare,
        "scan_and_prepare_over_loop": statistics.median(map(sum, zip(one, preparing, strict=True))) / bare,
        "prepare_ratio": statistics.median(preparing) / bare,
        "kept_over_files": kept_bytes / sum(file.stat().st_size for file in readable),
        "rescan_ratio": statistics.median(again) / bare,
        "loop_files_per_s": len(readable) / bare,
        "files": float(len(files)),
    }
    report("scan", figures, MEANINGS)


def bare_loop(files: list[Path]) -> list[Path]:
    """Read and decode each file, keep nothing, and give those that could be read."""
    readable = []
    for file in files:
        try:
            pydicom.dcmread(file).pixel_array  # noqa: B018  # reading it is what is measured
        except Exception:  # noqa: BLE001, S112  # whatever pydicom cannot read is not part of the comparison
            continue
        readable.append(file)
    return readable


def prepare(folder: Path, state: Path, index: Index) -> None:
    """Prepare all images that a scan accepted."""
    data = Data(modalities=("MR",), image_size=64, intensity="percentile")
    keep_images(Source(folder, state), data, list(index.accepted), index.kept)


def seconds(work: Callable[..., object], *arguments: object, used: list[float] | None = None, **more: object) -> float:
    """Time one run; note the processor time that was used by its end."""
    began = time.perf_counter()
    work(*arguments, **more)
    spent = time.perf_counter() - began
    if used is not None:
        used.append(processor_seconds())
    return spent


def processor_seconds() -> float:
    """Add up the processor time of this process and of the readers that it keeps (Linux, ``man 5 proc_pid_stat``)."""
    ticks = 0
    children = (file.read_text().split() for file in Path("/proc/self/task").glob("*/children"))
    for process in ("self", *(child for some in children for child in some)):
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])  # in user mode, in the kernel
    return ticks / os.sysconf("SC_CLK_TCK")


def make_files(folder: Path) -> None:
    """Make 600 images of 128 px: half plain, a quarter RLE, a quarter JPEG 2000."""
    rng = np.random.default_rng(0)
    shades = np.linspace(0, 3000, 128)[:, None] + np.linspace(0, 900, 128)
    for number in range(600):
        made = pydicom.Dataset()
        made.file_meta = pydicom.dataset.FileMetaDataset()
        made.file_meta.TransferSyntaxUID = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)[number % 2]
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
        made.PatientID = made.PatientName = f"P{number // 4}"
        made.PatientIdentityRemoved, made.Modality, made.Manufacturer = "YES", "MR", "Benchmark"
        made.PixelSpacing = [1, 1]
        pixels = (shades + rng.normal(0, 60, (128, 128))).clip(0, 4095).astype(np.uint16)
        made.set_pixel_data(pixels, "MONOCHROME2", 12)
        if number % 4 == 2:
            made.compress(RLELossless)
        elif number % 4 == 3:
            made.compress(JPEG2000Lossless)
        made.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            make_files(Path(made))
            main(Path(made))
