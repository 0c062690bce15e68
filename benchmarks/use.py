"""A model at work: how fast is prediction, how far off are volumes, what is unlike its training, what do maps show?

Run with ``make bench-use DATA=DIR``, where ``DIR`` holds one folder a hospital with series and masks
(``brain_mri_volumes``). A small model is trained on the spot, with the study of ``bench-segmentation`` made shorter:
its volumes say whether the road from image to millilitres is right, and not how good a model can be. Where the folders
``brain_mri`` and ``chest_xray`` lie beside it, small classifiers are trained on some of their hospitals, and asked how
unlike test images of the same hospitals, of another one and of another modality are. A classification and outlines in
slices and in volumes are exported as releases, whose ONNX is compared with PyTorch. ``--only PART`` measures one part.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from maps import MEANINGS as OF_MAPS
from maps import maps
from measure import known, report
from wardround_client import networks
from wardround_client.images import read_image
from wardround_client.prediction.keeping import keeping
from wardround_client.prediction.model import Model, open_model
from wardround_client.prediction.predicting import TOGETHER, Done, ask, asking_of
from wardround_client.prediction.written import write_files
from wardround_client.preparation import preprocessing
from wardround_client.preparation.asking import image_cases, slice_by_slice
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.examinations import Examination, choose_examinations
from wardround_client.preparation.source import Source
from wardround_client.tasks.contract import Case
from wardround_client.training.features import features_of
from wardround_common.documents.model_release import verify_model
from wardround_common.results import parts
from wardround_common.results.model_folder import Card
from wardround_common.shell.release_forms import forms
from wardround_common.study.file import Study, read_study
from wardround_server.rounds.exported_model import Release, export_model
from wardround_simulation.display import Display
from wardround_simulation.federation import Site
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess

OUTLINES = Path(__file__).parent / "studies" / "brain-mri-outlines.toml"
IMAGES = Path(__file__).parent / "studies" / "brain-mri.toml"
SHORTER = {
    "training": {"rounds": 12, "local_epochs": 1.0},
    "data": {"image_size": 64},
    "model": {"network": "tiny-unet"},
}
IN_VOLUMES = {
    "task": {"dims": 3},
    "training": {"batch_size": 2, "local_epochs": 1.0},
    "data": {"spacing_mm": (4.0, 4.0, 4.0), "patch_size": (16, 32, 32), "patches_per_volume": 2},
    "model": {"network": "tiny-unet"},
}
TURNS = 3
FILES = 96
MEANINGS = {
    "predict_over_plain": "processor time of predicting images, with lines and table, over a plain loop (at most 1.1)",
    "images_a_second": "images predicted in a second of one core",
    "volume_error_ml": "mean difference of a test patient's outlined volume from the reference mask's, in mL",
    "volume_ml": "mean volume of the reference masks of the same patients, in mL",
    "examinations": "how many test patients these are",
    "unlike_auroc": "AUROC of the distance from the training: home hospitals' test images against others, as it is",
    "onnx_max_difference": "largest difference of a log-odds in ONNX Runtime from PyTorch, over the releases below",
    "onnx_tolerance": "the smallest difference that one of these exports would have refused",
    "torchscript_max_difference": "the same of the TorchScript in their MONAI bundles",
    "releases": "how many these are: a classification, outlines in slices, outlines in volumes",
    "unlike_flagged": "part of images beyond the threshold, which 0.05 of the home ones are meant to be",
}


PARTS: dict[str, Callable[[Path, Path], dict[str, float]]] = {
    "speed": lambda data, out: speed(data, out),
    "volumes": lambda data, out: volumes(data, out),
    "unlike": lambda data, out: unlike(data.parent, out),
    "maps": maps,
    "releases": lambda data, out: releases(data, out),
}


def main(data: Path, out: Path, wanted: Sequence[str]) -> None:
    """Train, predict, measure, and write the figures of some parts."""
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    for part in wanted:
        figures |= PARTS[part](data, out)
    figures = known("use") | figures
    meanings = MEANINGS | OF_MAPS
    report("use", figures, meanings | {name: meanings[name.partition(":")[0]] for name in figures if ":" in name})


def speed(data: Path, out: Path) -> dict[str, float]:
    """Predict single images of a hospital with a network of ordinary size, and do the same in a plain loop."""
    tables = read_study(IMAGES).tables(nulls=False)
    study = Study.model_validate(tables | {"model": tables["model"] | {"network": "resnet18"}})
    network = networks.build(study).eval()
    found = sorted(path for path in (data / "DU" / "images").iterdir() if path.is_file())[:FILES]
    card = _card(study)
    model = Model(study, card, network)

    def ours() -> None:
        with tempfile.TemporaryDirectory(dir=out) as made, keeping(Path(made) / "out", card) as kept:
            for one in ask(model, image_cases(found, study, frozenset())):
                if not isinstance(one, Done):
                    raise SystemExit(f"an image was refused: {one.reason}")
                files = write_files(one, kept, card)
                kept.add({"input": one.case.name, **one.asked.about, **one.answer.facts, "files": files})
            kept.sync()
            kept.tabulate(asking_of(model).rows)

    def plain() -> None:
        voi = study.data.intensity == "window"
        with torch.no_grad():
            for first in range(0, len(found), TOGETHER):
                some = [read_image(path, voi=voi) for path in found[first : first + TOGETHER]]
                batch = np.stack([preprocessing.to_network_form(image, study.data) for image in some])
                network(torch.from_numpy(batch)).softmax(1)

    times = _in_turns(ours, plain)
    return {
        "predict_over_plain": statistics.median(a / b for a, b in times),
        "images_a_second": len(found) / statistics.median(a for a, _ in times),
    }


def _in_turns(one: Callable[[], None], other: Callable[[], None]) -> list[tuple[float, float]]:
    """Return the processor seconds of both, turn by turn, after one turn that counts for nothing."""
    times = []
    for _ in range(TURNS + 1):
        taken = []
        for work in (one, other):
            began = time.process_time()
            work()
            taken.append(time.process_time() - began)
        times.append((taken[0], taken[1]))
    return times[1:]


def _card(study: Study) -> Card:
    return Card(
        name="bench",
        wardround="0",
        engine="none",
        task=study.task.name,
        classes=study.groups,
        study_digest=study.digest(),
        rounds=(1,),
        point=0.5,
        temperature=1.5,
        validation_images=0,
        privacy=None,
        judgement=None,
        files={"model.safetensors": "0" * 64},
    )


def volumes(data: Path, out: Path) -> dict[str, float]:
    """Outline the test patients of each hospital, and compare their volumes with those of the reference masks."""
    tables = read_study(OUTLINES).tables(nulls=False)
    for section, values in SHORTER.items():
        tables[section] |= values
    tables["aggregation"] = {"min_hospitals": 3, "secure": False}
    study = Study.model_validate(tables)
    sites = sites_in(data, Places(None, None, frozenset(), out / "state"))
    if not (out / "run" / "report.html").exists():
        with Display(Console(stderr=True)) as show:
            simulate(Plan(study, sites, out / "run", (out / "run" / "run.json").exists(), False), InThisProcess(), show)
    export_model(out / "run", study, out / "model")
    model = open_model(out / "model")
    errors, references = [], []
    for site in sites:
        for source in site.sources:
            for examination in _tested(source, study):
                reference = examination.mask.volume()
                voxel_ml = examination.reference.geometry.voxel_ml
                asked = partial(slice_by_slice, examination.channels, study.data)
                (one,) = ask(model, [Case("", tuple(examination.files), asked, examination.channels)])
                if not isinstance(one, Done):
                    raise SystemExit(f"an examination was refused: {one.reason}")
                outlined = sum(each["volume_ml"] for each in one.answer.facts["structures"])
                references.append(np.count_nonzero(reference) * voxel_ml)
                errors.append(abs(outlined - references[-1]))
    return {
        "volume_error_ml": statistics.mean(errors),
        "volume_ml": statistics.mean(references),
        "examinations": len(errors),
    }


USUAL = {
    "brain_mri": (("DU", "HT"), ("CS",), ["MR"], ["none", "tumour"]),
    "chest_xray": (("guangzhou",), ("nih",), ["CR", "DX"], ["normal", "pneumonia"]),
}
"""By folder: the hospitals that train, another one, modalities and classes."""


def unlike(folder: Path, out: Path) -> dict[str, float]:
    """Train on some hospitals, and measure how unlike their test images those of others are."""
    if not all((folder / name).is_dir() for name in USUAL):
        return {}
    figures: dict[str, float] = {}
    everything = {
        f"{name}/{site}": folder / name / site for name, (home, other, _, _) in USUAL.items() for site in home + other
    }
    for name, (home, _, modalities, classes) in USUAL.items():
        tables = read_study(IMAGES).tables(nulls=False)
        tables["task"]["classes"] = classes
        tables["data"] |= {"modalities": modalities, "image_size": 64}
        tables["training"]["rounds"] = 8
        tables["aggregation"] = {"min_hospitals": 1, "secure": False}
        tables["evaluation"] |= {"usual": 0.95}
        study = Study.model_validate(tables)
        sites = tuple(
            Site(f"{name}-{one}", (Source(folder / name / one, out / "state" / f"{name}-{one}"),)) for one in home
        )
        run, exported = out / f"unlike-{name}", out / f"unlike-{name}-model"
        if not (run / "report.html").exists():
            with Display(Console(stderr=True)) as show:
                simulate(Plan(study, sites, run, (run / "run.json").exists(), False), InThisProcess(), show)
        export_model(run, study, exported)
        model = open_model(exported)
        found = {
            where: _distances(model, path, out, test=where.split("/")[0] == name and path.name in home)
            for where, path in everything.items()
        }
        usual = np.concatenate([found.pop(f"{name}/{one}") for one in home])
        if model.unlike is None or model.unlike.threshold is None:
            raise SystemExit("the run gave no threshold")
        limit = model.unlike.threshold
        at = "+".join(home)
        figures[f"unlike_flagged: {at} at home"] = float((usual >= limit).mean())
        for where, distances in found.items():
            below = np.searchsorted(np.sort(usual), distances)
            figures[f"unlike_auroc: {at} from {where}"] = float(below.mean() / len(usual))
            figures[f"unlike_flagged: {at} from {where}"] = float((distances >= limit).mean())
    return figures


def _distances(model: Model, folder: Path, out: Path, *, test: bool) -> np.ndarray:
    """Return the distances of a hospital's images, of those in the home hospitals the test patients' only."""
    reads = model.study.data.model_copy(update={"modalities": ("MR", "CR", "DX")})  # else another one is refused
    task = model.study.task.model_copy(update={"classes": tuple(_classes(folder))})
    study = model.study.model_copy(update={"data": reads, "task": task})
    source = Source(folder, out / "state" / f"{folder.parent.name}-{folder.name}")
    data = prepare(source, study, *take_in(source, study), trains=test)
    features, _ = features_of(model.network, model.study, data.test)
    if model.unlike is None:
        raise SystemExit("the model does not know what its images are like")
    return model.unlike.usual.distances(features)


def _classes(folder: Path) -> list[str]:
    return next(classes for name, (_, _, _, classes) in USUAL.items() if name == folder.parent.name)


def releases(data: Path, out: Path) -> dict[str, float]:
    """Train a round each, export it as a release, verify that, and say how far its other forms are from PyTorch."""
    alike = []
    for name, study, folder in _published(data):
        sites = sites_in(folder, Places(None, None, frozenset(), out / "state"))
        run, exported = out / f"release-{name}", out / f"release-{name}-model"
        if not (run / "report.html").exists():
            with Display(Console(stderr=True)) as show:
                simulate(Plan(study, sites, run, (run / "run.json").exists(), False), InThisProcess(), show)
        export_model(run, study, exported, Release(forms=forms()))
        verify_model(exported)
        made = {part.name: part for part in parts.Parts.parse((exported / parts.PARTS).read_bytes()).parts}
        if missing := [part.said for part in made.values() if part.largest_difference is None]:
            raise SystemExit(f"not every form was made: {' '.join(missing)}")
        alike.append((made["ONNX"], made["MONAI bundle"]))
    return {
        "onnx_max_difference": max(onnx.largest_difference or 0 for onnx, _ in alike),
        "onnx_tolerance": min(onnx.tolerance or 0 for onnx, _ in alike),
        "torchscript_max_difference": max(bundle.largest_difference or 0 for _, bundle in alike),
        "releases": len(alike),
    }


def _published(data: Path) -> Iterator[tuple[str, Study, Path]]:
    """Yield a short study of each kind, and the folder of its hospitals, where it is there."""
    usual = {"aggregation": {"min_hospitals": 1, "secure": False}}
    images = data.parent / "brain_mri"
    if images.is_dir():
        tables = read_study(IMAGES).tables(nulls=False) | usual
        tables["model"] |= {"network": "resnet18"}
        tables["training"] |= {"rounds": 1, "local_epochs": 0.2}
        yield "images", Study.model_validate(tables), images
    for name, own in (("slices", SHORTER), ("volumes", IN_VOLUMES)):
        tables = read_study(OUTLINES).tables(nulls=False) | usual
        for section, values in own.items():
            tables[section] |= values
        tables["training"] |= {"rounds": 1, "local_epochs": 0.2}
        if name == "volumes":
            del tables["data"]["image_size"]
        yield name, Study.model_validate(tables), data


def _tested(source: Source, study: Study) -> Iterator[Examination]:
    """Yield the examinations of a hospital's test patients, with their reference masks."""
    index, found = take_in(source, study)
    dataset = prepare(source, study, index, found)
    tested = {dataset.identifiers[code] for code in np.unique(dataset.test.patients).tolist()}
    patient_of = {source.folder / one.file: one.patient for one in index.accepted}
    images = [one.file for one in index.accepted if one.modality in study.data.modalities]
    for examination in choose_examinations(source, index, images, study.data.series, study.groups).taken:
        whole = all(examination.mask.annotated)  # a slice that nobody looked at has no reference
        if whole and any(patient_of.get(path) in tested for path in examination.files):
            yield examination


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-use"))
    parser.add_argument("--only", choices=[*PARTS], action="append", help="a part; by default all")
    typed = parser.parse_args()
    typed.out.mkdir(parents=True, exist_ok=True)
    main(typed.data, typed.out, typed.only or [*PARTS])
