"""One image in fifty: weights, focal loss and balanced sampling, beside nothing, on chest radiographs.

Run with ``python benchmarks/medicine.py DATA --only imbalance``, where ``DATA`` holds ``chest_xray`` with one folder a
hospital. Of each hospital's patients, some are set apart, half of them with the finding (``NAME-elsewhere``): nobody
trains or chooses on them, and the models are judged on them. Of the others 350 images without the finding train beside
7 with it. No patient is in two folders, and which are where is the same in every run. Finished runs are kept under
``--out``, and figures are written after each seed.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from trained import Arguments, by_site, hospitals_in, keep, run, show, show_by_site
from wardround_common.errors import DataError
from wardround_common.results import FEDERATED, Results
from wardround_common.study.file import Study, read_study

RARE = Path(__file__).parent / "studies" / "chest-xray-rare.toml"
USUAL, FINDING = "normal", "pneumonia"
ELSEWHERE = "-elsewhere"
JUDGED, COMMON, FOUND = 100, 350, 7
"""Images of each class elsewhere; images without and with the finding at the hospital that trains."""
ARMS: Mapping[str, Mapping[str, object]] = {
    "plain": {},
    "weights": {"count_classes": True},
    "focal": {"focal_gamma": 2.0},
    "balanced": {"sampling": "balanced"},
}
METRICS = ("auroc", "auprc", "brier")
MEANINGS = {
    "auroc_rare_plain": "chest X-ray, 1:50, nothing done: patients elsewhere, mean over two hospitals and seeds",
    "auroc_rare_weights": "the same with weights from secure counts of the classes",
    "auroc_rare_focal": "the same with focal loss, gamma 2",
    "auroc_rare_balanced": "the same with each class drawn as often",
    "auroc_rare_seeds": "how many seeds they are the mean over",
    "auroc_rare_training_findings": "images with the finding that all hospitals train on together",
    "brier_rare_plain": "Brier score where half have the finding: 0.5 is that of a model that always says no",
}
Row = Mapping[str, Results]


def main(typed: Arguments) -> None:
    """Run what is missing, print the tables, and write the figures if they are those of the study."""
    made = typed.out / "rare"
    for hospital in sorted(path for path in hospitals_in(typed.data, "chest_xray").iterdir() if path.is_dir()):
        set_apart(hospital, made)
    here = replace(typed, data=made)
    outside = tuple(site.name for site in here.sites() if site.name.endswith(ELSEWHERE))
    rows: list[Row] = []
    for seed in typed.seeds:
        rows.append({arm: run(study_of(arm, outside, typed), seed, here, baselines=False) for arm in ARMS})
        figures = figures_of(rows, outside)
        if typed.changed:
            show(figures)
        else:
            keep(figures, MEANINGS, seeds=typed.seeds[: len(rows)], count="auroc_rare_seeds")
    for arm in ARMS:
        show_by_site(f"{arm}: AUROC", [row[arm] for row in rows], "auroc")


def study_of(arm: str, outside: Sequence[str], typed: Arguments) -> Study:
    """Return the study of an arm."""
    tables = read_study(RARE).tables(nulls=False)
    tables["study"]["name"] = f"rare-{arm}"
    tables["training"] |= ARMS[arm]
    tables["evaluation"]["external"] = list(outside)
    for section, values in typed.changed.items():
        tables[section] |= values
    return Study.model_validate(tables)


def figures_of(rows: Sequence[Row], outside: Sequence[str]) -> dict[str, float]:
    """Return metrics by arm, the mean over the hospitals elsewhere and the seeds, and how far seeds are apart."""
    taught = [one.train.per_class[1] for row in rows for one in row["plain"].hospitals if one.train]
    figures = {"auroc_rare_seeds": float(len(rows)), "auroc_rare_training_findings": sum(taught) / len(rows)}
    for arm in ARMS:
        for metric in METRICS:
            sites = [by_site(row[arm], FEDERATED, metric) for row in rows]
            means = [statistics.mean(one[name] for name in outside) for one in sites]
            figures[f"{metric}_rare_{arm}"] = statistics.mean(means)
            if metric == "auroc":
                figures[f"auroc_rare_{arm}_spread"] = max(means) - min(means)
    return figures


def set_apart(hospital: Path, folder: Path) -> None:
    """Copy a hospital's images into two folders, one for training and one elsewhere, unless they are there."""
    there = folder / hospital.name, folder / f"{hospital.name}{ELSEWHERE}"
    if all((path / "labels.csv").exists() for path in there):
        return
    images: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (hospital / "labels.csv").open(encoding="utf-8-sig", newline="") as table:
        lines_of = csv.DictReader(table)
        if not {"file", "patient", "label"} <= set(lines_of.fieldnames or ()):
            raise DataError(
                "this table needs the columns file, patient and label",
                where=str(hospital / "labels.csv"),
                do="Name the folder that holds 'chest_xray', or the folder of its hospitals.",
            )
        for row in lines_of:
            images[row["patient"]].append(row)
    kept: tuple[list[dict[str, str]], ...] = ([], [])
    for label, trained in ((USUAL, COMMON), (FINDING, FOUND)):
        # patients with images of both classes would be in two folders
        patients = [name for name, rows in images.items() if {row["label"] for row in rows} == {label}]
        patients.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
        for place, most in ((1, JUDGED), (0, trained)):
            count = 0
            while patients and count < most:
                some = images[patients.pop()][: most - count]
                kept[place].extend(some)
                count += len(some)
    for path, rows in zip(there, kept, strict=True):
        path.mkdir(parents=True, exist_ok=True)
        for row in rows:
            shutil.copyfile(hospital / row["file"], path / row["file"].replace("/", "-"))
        lines = [f"{row['file'].replace('/', '-')},{row['patient']},{row['label']}" for row in rows]
        (path / "labels.csv").write_text("\n".join(["file,patient,label", *lines]) + "\n", encoding="utf-8")
