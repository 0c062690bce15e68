"""What volumes cost a hospital: time to prepare them over a bare read of the same files, and memory while it works."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import nibabel
import numpy as np
import pydicom

from measure import most_resident
from wardround_client import networks
from wardround_client.intake.index import scan
from wardround_client.intake.instance import Index
from wardround_client.preparation.dataset import take_in
from wardround_client.preparation.examinations import mask_files
from wardround_client.preparation.kept_volumes import KeptVolumes
from wardround_client.preparation.made_once import FOLDER
from wardround_client.preparation.source import Source
from wardround_client.preparation.volumes import prepare_volumes
from wardround_client.training.local_work import train
from wardround_common.study.file import Study
from wardround_simulation.federation import Federation, Site, open_hospital

TURNS = 4
MIB = 2**20


def prepare_over_read(study: Study, sites: tuple[Site, ...]) -> dict[str, float]:
    """Return the time of preparing volumes from files that were scanned, over a bare read of the same files.

    Both in turns, medians, the first turn left out: it fills the system's cache of files.
    """
    taken = [(source, *_taken(source, study)) for site in sites for source in site.sources]
    with tempfile.TemporaryDirectory() as folder:
        states = [Path(folder) / str(number) for number in range(len(taken))]

        def prepared() -> None:
            for (source, index, _), state in zip(taken, states, strict=True):
                shutil.rmtree(state / FOLDER, ignore_errors=True)
                prepare_volumes(replace(source, state=state), index, study.data, study.groups)

        def read() -> None:
            for _, _, files in taken:
                for path in files:
                    _read(path)

        turns = [(_timed(read), _timed(prepared)) for _ in range(TURNS)][1:]
    names = ("prepare_over_read", "prepare_over_read_wall")
    return {name: statistics.median(made[each] / bare[each] for bare, made in turns) for each, name in enumerate(names)}


def _taken(source: Source, study: Study) -> tuple[Index, list[Path]]:
    """Return an index of the images that are used alone, and these files with their masks."""
    _, found = take_in(source, study)
    index = scan(source.folder, state=source.state, allow=source.allow)
    index = replace(index, accepted=tuple(one for one in index.accepted if one.file in found.words))
    outlines, beside = mask_files(source, index)
    return index, [*(source.folder / one.file for one in index.accepted), *outlines, *(one.mask for one in beside)]


def _read(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.name.endswith((".nii", ".nii.gz")):
            np.asarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]  # an image
        elif "PixelData" in (dataset := pydicom.dcmread(path)):
            _ = dataset.pixel_array


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    processor, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - processor, time.perf_counter() - wall


def memory_of(study: Study, site: Site) -> dict[str, float]:
    """Return the most memory of a hospital's process that trains a round and judges, in MiB, and the size of its data.

    Of a process that has opened nothing yet, with all its libraries, it is ``volumes_idle_mib``: pages of files that
    it maps count in both.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, Federation(study, (site,)), site.name))
    process.start()
    found: dict[str, float] = ours.recv()
    process.join()
    return found


def _work(answer: Connection, federation: Federation, name: str) -> None:
    network = networks.build(federation.study)
    idle = most_resident() / MIB
    hospital = open_hospital(federation, name)
    parameters = networks.read_vector(network)
    train(hospital._run(), parameters, 1)
    from wardround_client.training.evaluation import sums_of

    sums_of(hospital.built.network, federation.study, hospital.dataset.test)
    kept = hospital.dataset.train.kept
    volumes = kept.volumes if isinstance(kept, KeptVolumes) else ()
    size = sum(volume.image().nbytes + volume.mask().nbytes for volume in volumes)
    answer.send({"volumes_peak_mib": most_resident() / MIB, "volumes_idle_mib": idle, "volumes_data_mib": size / MIB})
