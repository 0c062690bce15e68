"""How costs grow with hospitals, with parameters, and with a hospital's images; run by ``make bench-growth``.

Each point is measured in a process of its own, small ones first, and kept in ``results/growth.json`` at once: a run
that was stopped continues, and ``python benchmarks/growth.py images --up-to 10000`` measures some. Seconds are
processor time. An exponent is the slope of a line through the logarithms of all points: 1 grows as the number does, 0
not at all.

- ``hospitals``: one round with secure sums of hospitals of 20 images, 97,650 parameters, all in one process.
- ``parameters``: one of ten hospitals encodes, masks and deals an update, and the coordinator checks and adds it.
- ``images``: made DICOM files of 80 x 80 pixels are scanned and prepared; then a new process opens them and reads each
  prepared image once. Its memory is what it holds by itself: pages of the prepared file are the system's to take back.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import torch

from measure import known, report
from simulation import peak_gb, secure_round, study
from wardround_client.hospital.secure_sum import Participant
from wardround_common.errors import StudyError
from wardround_common.keys.identity import Identity, Roster
from wardround_common.randomness import insecure_stream
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.encoding import Encoding
from wardround_common.secagg.exchange import Masked
from wardround_common.secagg.terms import Member, Terms
from wardround_common.secagg.thresholds import default_threshold
from wardround_server.rounds.secure_sum import Gathering, Total
from wardround_simulation.federation import Federation, Site, open_hospital
from wardround_simulation.phantoms import CLASSES, SCANNERS, make_hospital
from wardround_simulation.places import Places

SIZES = {
    "hospitals": (10, 30, 100, 300, 1_000),
    "parameters": (100_000, 1_000_000, 10_000_000, 100_000_000),
    "images": (1_000, 10_000, 100_000),
}
FIGURES = {
    "hospitals": {
        "s": "processor time of a secure round",
        "above_plain_s": "of that, what the plain loop does not cost",
        "gb": "peak memory",
    },
    "parameters": {"s": "processor time of one upload and of adding it", "gb": "peak memory"},
    "images": {
        "intake_s": "processor time of scan and preparation",
        "intake_gb": "peak memory of it",
        "s": "processor time from the start of a new process until each image was read once",
        "gb": "memory that this process holds by itself",
        "dicom_files_opened": "DICOM files that it opened",
    },
}
MADE = "dicom"
A_FOLDER = 1_000  # images


def of_hospitals(count: int, folder: Path) -> dict[str, float]:
    """Return what one secure round of this number of hospitals costs once they are open."""
    secure, plain = secure_round(count, 20, folder)
    return {"s": secure, "above_plain_s": secure - plain, "gb": peak_gb()}


def of_parameters(count: int, folder: Path) -> dict[str, float]:
    """Return what one of ten hospitals' uploads costs, and the coordinator's adding it."""
    identities = {f"hospital {number}": Identity(bytes([number]) * 32) for number in range(10)}
    roster = Roster({name: one.public for name, one in identities.items()})
    keys = {name: AgreementKey(one.secret) for name, one in identities.items()}
    run, of = bytes(16), "0" * 64
    members = tuple(Member.signed(name, one, keys[name].public, of, run) for name, one in identities.items())
    terms = Terms(of, run, "train", 1, bytes(32), roster.digest, members, default_threshold(len(members)))
    encoding, name = Encoding(len(members), 32, 1.0, 1000), members[3].name
    update = np.linspace(-0.5, 0.5, count, dtype=np.float32)
    stream = insecure_stream(0)
    gathering = Gathering(terms, roster, Total(np.zeros(count, encoding.dtype), np.zeros(3, "<u8")))
    began = time.process_time()
    masked = Masked(encoding.encode(update, 100, stream), np.ones(3, "<u8"))
    who = Participant(name, identities[name], keys[name], roster)
    gathering.add(name, who.upload(terms, masked, lambda size: stream.words(-(-size // 8)).tobytes()[:size]))
    return {"s": time.process_time() - began, "gb": peak_gb()}


def of_images(count: int, folder: Path) -> dict[str, float]:
    """Return what the intake of this number of images costs, and a later process that trains on them."""
    make_images(folder / MADE, count)
    first = _in_a_process("intake", count, folder)
    later = _in_a_process("later", count, folder)
    return {f"intake_{name}": value for name, value in first.items() if name != "dicom_files_opened"} | later


def intake(count: int, folder: Path) -> dict[str, float]:
    """Open a hospital whose images are in ``folder``, and read each prepared one."""
    opened = 0

    def count_files(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal opened
        if event == "open" and str(arguments[0]).endswith(".dcm"):
            opened += 1

    sys.addaudithook(count_files)
    began = time.process_time()
    source = Places(None, None, frozenset(), folder / "state").source(folder / MADE)
    of, held = study(2, 1), 0.0
    hospital = open_hospital(Federation(of, (Site("hospital", (source,)),)), "hospital")
    for examples in (hospital.dataset.train, hospital.dataset.validation, hospital.dataset.test):
        for start in range(0, len(examples), 64):
            examples.images(slice(start, start + 64))
        held = max(held, _held_gb())
    return {"s": time.process_time() - began, "gb": held, "dicom_files_opened": opened}


def first_intake(count: int, folder: Path) -> dict[str, float]:
    """Do the same for the first time; its memory is the peak."""
    return intake(count, folder) | {"gb": peak_gb()}


def make_images(folder: Path, count: int) -> None:
    """Write this number of DICOM files, each of a patient of its own, by changing the bytes of one phantom."""
    with tempfile.TemporaryDirectory() as name:
        make_hospital(Path(name), SCANNERS[0], seed=0, patients=2)
        phantom = pydicom.dcmread(sorted(Path(name).glob("*/*/*.dcm"))[0])
        names = [str(phantom.SOPInstanceUID), str(phantom.SeriesInstanceUID), str(phantom.StudyInstanceUID)]
        template = sorted(Path(name).glob("*/*/*.dcm"))[0].read_bytes()
    pixels, shape = phantom.PixelData, (phantom.Rows, phantom.Columns)
    draw, lines = np.random.default_rng(0), []
    for number in range(count):
        content = template.replace(pixels, draw.integers(0, 4096, shape, np.uint16).astype("<u2").tobytes())
        for uid in names:
            content = content.replace(uid.encode(), f"{uid[:-9]}{number:09}".encode())
        patient = f"A-{number:010}"
        content = content.replace(str(phantom.PatientID).encode(), patient.encode())
        file = folder / f"{number // A_FOLDER:04}" / f"{number:07}.dcm"
        if number % A_FOLDER == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(content)
        lines.append((file.relative_to(folder).as_posix(), patient, CLASSES[number % 2]))
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("file", "patient", "label"))
        writer.writerows(lines)


POINTS: dict[str, Callable[[int, Path], dict[str, float]]] = {
    "hospitals": of_hospitals,
    "parameters": of_parameters,
    "images": of_images,
    "intake": first_intake,
    "later": intake,
}


def exponent(points: dict[int, float]) -> float:
    """Return the slope of the line through the logarithms of some points, by least squares."""
    sizes, values = np.log(list(points)), np.log(list(points.values()))
    return float(np.polyfit(sizes, values, 1)[0])


def _in_a_process(kind: str, size: int, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "point", kind, str(size), str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _held_gb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) * 1024 / 1e9


def with_exponents(figures: dict[str, float]) -> tuple[dict[str, float], dict[str, str]]:
    """Add exponents to what was measured; return also what each figure means."""
    found, meanings = dict(figures), {}
    for kind, names in FIGURES.items():
        for name, meaning in names.items():
            points = {size: figures[key] for size in SIZES[kind] if (key := f"{kind}_{size}_{name}") in figures}
            meanings |= {f"{kind}_{size}_{name}": meaning for size in points}
            if len(points) > 1 and all(points.values()):
                found[f"{kind}_{name}_exponent"] = exponent(points)
                meanings[f"{kind}_{name}_exponent"] = f"exponent of that in {kind}"
    return found, meanings


def main(words: list[str]) -> None:
    """Measure the points that are not there yet."""
    up_to = max(size for sizes in SIZES.values() for size in sizes)
    if "--up-to" in words:
        at = words.index("--up-to")
        if not words[at + 1 : at + 2] or not words[at + 1].isdecimal():
            raise StudyError("--up-to needs a whole number", do="Say for instance: images --up-to 10000")
        up_to, words = int(words[at + 1]), words[:at] + words[at + 2 :]
    if unknown := set(words) - set(SIZES):
        raise StudyError(f"there is no curve {sorted(unknown)[0]!r}", do=f"Name some of {', '.join(SIZES)}, or none.")
    figures = known("growth")
    for kind in words or SIZES:
        if not (sizes := [size for size in SIZES[kind] if size <= up_to and f"{kind}_{size}_s" not in figures]):
            print(f"{kind}: nothing left to measure up to {up_to:,}", file=sys.stderr)
        for size in sizes:
            print(f"{kind} {size:,} …", file=sys.stderr)
            with tempfile.TemporaryDirectory() as name:
                point = _in_a_process(kind, size, Path(name))
            figures, meanings = with_exponents(figures | {f"{kind}_{size}_{key}": of for key, of in point.items()})
            report("growth", figures, meanings)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["point"]:
        print(json.dumps(POINTS[sys.argv[2]](int(sys.argv[3]), Path(sys.argv[4]))))
    else:
        main(sys.argv[1:])
