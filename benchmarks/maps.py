"""Do maps show the lesion, and what the network learnt? Every method on slices with a tumour, beside random maps.

A part of ``bench-use``. A small network is trained to tell slices with a tumour from those without, by the hospitals of
``brain_mri_volumes`` whose slices are files of their own (CS and DU; an enhanced object is one file, and no image that
such a study takes). What is a tumour is said by the masks, which meet the images by geometry. Only test patients are
explained.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console

from wardround_client.explanation.explaining import Asked, Explained, explain
from wardround_client.images import read_image
from wardround_client.maps.lesions import Lesion, Lesions, lesions_in, measure
from wardround_client.maps.registry import find
from wardround_client.prediction.model import Model, open_model
from wardround_client.preparation.asking import image_cases
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.source import Source
from wardround_common.metrics.maps import MapSums
from wardround_common.study.file import Study, read_study
from wardround_common.tasks import classification
from wardround_server.rounds.exported_model import export_model
from wardround_simulation.display import Display
from wardround_simulation.federation import Site
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess

STUDY = Path(__file__).parent / "studies" / "brain-mri.toml"
HOSPITALS = ("CS", "DU")
SERIES = "flair"
METHODS = ("integrated-gradients", "hires-cam", "grad-cam", "occlusion", "lime", "shap")
ROUNDS = 20
SLICES = 40
"""Of test patients' slices with a tumour, evenly chosen."""
INSIDE = 0.1
"""Of an image's brightest value: darker pixels lie outside the head."""
MEANINGS = {
    "maps_auroc": "AUROC of the model whose answers are explained, on the test patients of both hospitals",
    "maps_slices": "slices with a tumour, of test patients, that were explained",
    "mass_in_lesion": "part of a method's map for 'tumour' that lies in the tumour; a random map is to be beaten",
    "mass_of_untrained": "the same of a network with random weights",
    "pointing": "slices whose strongest place lies in the tumour",
    "sanity": "mean similarity to maps of networks with random weights (1 is the same)",
}


def maps(data: Path, out: Path) -> dict[str, float]:
    """Train, explain by every method, and return the figures."""
    folders = {name: data / name for name in HOSPITALS}
    lesions = {name: lesions_in([folder.resolve()]) for name, folder in folders.items()}
    sites = tuple(Site(name, (_labelled(folders[name], lesions[name], out),)) for name in HOSPITALS)
    tables = read_study(STUDY).tables(nulls=False)
    tables["training"] |= {"rounds": ROUNDS}
    tables["aggregation"] |= {"min_hospitals": len(HOSPITALS)}
    study = Study.model_validate(tables)
    run = out / "maps-run"
    if not (run / "report.html").exists():
        with Display(Console(stderr=True)) as show:
            simulate(Plan(study, sites, run, (run / "run.json").exists(), False), InThisProcess(), show)
    export_model(run, study, out / "maps-model")
    model = open_model(out / "maps-model")
    there = [
        (lesions[site.name], path) for site in sites for path in _tested(site.sources[0], study, lesions[site.name])
    ]
    chosen = [
        there[at] for at in np.unique(np.linspace(0, len(there) - 1, min(SLICES, len(there))).round().astype(int))
    ]
    auroc = None if model.card.judgement is None else model.card.judgement.metrics["auroc"]
    if auroc is None:
        raise SystemExit("the model was not judged")
    figures = {"maps_auroc": auroc, "maps_slices": float(len(chosen))}
    figures |= _random([(path, lesion) for of, path in chosen if (lesion := of.of(path)) is not None])
    for name in METHODS:
        figures |= _by_method(model, name, chosen)
    return figures


def _labelled(folder: Path, lesions: Lesions, out: Path) -> Source:
    """Write which slices of the wanted series have a tumour, as the hospital's masks say, and describe the folder."""
    with (folder / "series.csv").open(newline="") as file:
        wanted = {row["series_uid"] for row in csv.DictReader(file) if row["role"] == SERIES}
    table = out / f"{folder.name}-labels.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label"])
        for path, (mask, number) in lesions.places.items():
            if mask.series_uid in wanted and mask.annotated[number]:
                word = "none" if lesions.of(path) is None else "tumour"
                rows.writerow([path.relative_to(folder.resolve()), word])
    return Source(folder.resolve(), out / "maps-state" / folder.name, table)


def _tested(source: Source, study: Study, lesions: Lesions) -> Iterator[Path]:
    """Yield the slices of a hospital's test patients that are labelled and have a tumour."""
    index, found = take_in(source, study)
    dataset = prepare(source, study, index, found)
    tested = {dataset.identifiers[code] for code in np.unique(dataset.test.patients).tolist()}
    for one in index.accepted:
        path = source.folder / one.file
        if one.patient in tested and found.words.get(one.file) == "tumour" and lesions.of(path) is not None:
            yield path


def _random(chosen: list[tuple[Path, Lesion]]) -> dict[str, float]:
    rng, anywhere, inside = np.random.default_rng(0), MapSums(), MapSums()
    for path, lesion in chosen:
        noise = rng.random(lesion.shape).astype(np.float32)
        pixels = read_image(path).pixels[0]
        head = pixels > INSIDE * pixels.max()
        anywhere += MapSums.of(measure(noise, noise, lesion))
        inside += MapSums.of(measure(noise * head, noise, lesion))
    return {
        "mass_in_lesion: random": anywhere.figures()["mass_in_lesion"],
        "mass_in_lesion: random in the head": inside.figures()["mass_in_lesion"],
    }


def _by_method(model: Model, name: str, chosen: list[tuple[Lesions, Path]]) -> dict[str, float]:
    sums, alike = MapSums(), []
    for of, path in chosen:
        (case,) = image_cases([path], model.study, frozenset())
        asked = Asked(*find(name, classification.TASK), None, of)
        one = explain(model, asked, case)
        if not isinstance(one, Explained) or one.in_lesion is None:
            raise SystemExit("a slice was refused")
        sums += MapSums.of(one.in_lesion)
        alike += [] if one.similarity is None else [one.similarity]
    figures = sums.figures()
    return {
        f"mass_in_lesion: {name}": figures["mass_in_lesion"],
        f"mass_of_untrained: {name}": figures["untrained"],
        f"pointing: {name}": figures["pointing_game"],
        f"sanity: {name}": float(np.mean(alike)),
    }
