"""The grade of a glioma from a patient's slices: attention, their mean, or in order; with and without age and sex.

Run with ``python benchmarks/medicine_patients.py DIR``, where ``DIR`` (or its folder ``brain_mri_volumes``) holds one
folder a hospital with series and ``clinical.csv``: a label of the patient, of three sequences of which some are
missing, by ``benchmarks/studies/brain-mri-grade.toml``. Slices of each series are first written as PNG beside the runs,
since a study of images takes no file of several. Runs are kept under ``--out`` and resumed when you start the benchmark
again. Runs of other numbers than the study's print, and write nothing.
"""

from __future__ import annotations

import csv
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from measure import known, report
from trained import Arguments, arguments, hospitals_in, run, show
from wardround_client.preparation.bags import evenly
from wardround_client.volumes import Series, choose, examinations, survey
from wardround_common.results import ALL, FEDERATED, Results
from wardround_common.study.file import Study, read_study
from wardround_common.study.series import Wanted

GRADE = Path(__file__).parent / "studies" / "brain-mri-grade.toml"
INVERTED = (1500.0, 3500.0)
WANTED = (
    Wanted(role="flair", modality="MR", inversion_time_ms=INVERTED),
    Wanted(role="t1", modality="MR", description=("*t1*",), contrast=False),
    Wanted(role="t1gd", modality="MR", description=("*t1*",), contrast=True),
)
SLICES = 4
"""Of each series, at equal distances between a quarter and three quarters of its length."""
ARMS = {
    "attention": {"pooling": "attention", "clinical": False},
    "mean": {"pooling": "mean", "clinical": False},
    "recurrent": {"pooling": "recurrent", "clinical": False},
    "attention_clinical": {"pooling": "attention", "clinical": True},
    "mean_clinical": {"pooling": "mean", "clinical": True},
}
METRIC = "auroc"
WHOSE = "AUROC for the higher grade, all test patients of a run together, mean over seeds"
MEANINGS = {
    "auroc_patient_attention": f"{WHOSE}; slices of three sequences, attention",
    "auroc_patient_mean": "the same, mean of the slices",
    "auroc_patient_recurrent": "the same, slices read in order, sequence by sequence",
    "auroc_patient_attention_clinical": "attention, with age and sex",
    "auroc_patient_mean_clinical": "mean of the slices, with age and sex",
    "auroc_patient_age_alone": "age as the score, nothing trained, all patients of all hospitals",
    "auroc_patient_test_patients": "test patients of a run",
    "auroc_patient_half_width": "half of the 95 % interval of attention with age and sex, mean over seeds",
    **{
        f"auroc_patient_without_{name}": f"attention with age and sex, told that {name} is missing of everybody"
        for name in ("flair", "t1", "t1gd", "age", "sex")
    },
}


def main(typed: Arguments) -> None:
    """Write the slices, run what is missing, and keep the figures if they are those of the study."""
    typed = replace(typed, data=hospitals_in(typed.data, "brain_mri_volumes"))
    images = typed.out / "slices"
    for hospital in sorted(path for path in typed.data.iterdir() if path.is_dir()):
        write_slices(hospital, images / hospital.name)
    here = replace(typed, data=images)
    runs = {
        name: [run(study_of(name, typed), seed, here, baselines=False) for seed in typed.seeds] for name in typed.only
    }
    figures = figures_of(runs) | {"auroc_patient_age_alone": of_age(typed.data)}
    show(figures)
    for name, of in runs.items():
        print(name, [f"{value(one):.3f}" for one in of])
    if typed.as_stated:  # what was run of the arms replaces their figures, and the others stay
        report("medicine", known("medicine") | figures, MEANINGS)


def study_of(name: str, typed: Arguments) -> Study:
    """Return the study of an arm."""
    tables, arm = read_study(GRADE).tables(nulls=False), ARMS[name]
    tables["model"]["pooling"] = arm["pooling"]
    tables["study"]["name"] = f"grade-{name.replace('_', '-')}"
    if not arm["clinical"]:
        del tables["data"]["variables"]
    for section, values in typed.changed.items():
        tables[section] |= values
    return Study.model_validate(tables)


def value(results: Results) -> float:
    """Return the AUROC of all test patients together."""
    found = results.evaluation[FEDERATED][ALL].metrics[METRIC].value
    return float("nan") if found is None else found


def of_age(data: Path) -> float:
    """Return the AUROC of age alone for the higher grade: how often the older one of a pair has it."""
    rows = [row for path in sorted(data.glob("*/clinical.csv")) for row in csv.DictReader(path.open(newline=""))]
    known = [
        (float(row["age_years"]), row["who_grade_code"]) for row in rows if row["age_years"] and row["who_grade_code"]
    ]
    high, low = (np.array([age for age, grade in known if grade == which]) for which in ("2", "1"))
    pairs = high[:, None] - low[None, :]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def figures_of(runs: dict[str, list[Results]]) -> dict[str, float]:
    """Return the figures of the arms, and of the inputs withheld from attention with age and sex."""
    figures = {f"auroc_patient_{name}": statistics.mean(map(value, of)) for name, of in runs.items()}
    whole = runs.get("attention_clinical", [])
    for place, name in enumerate(whole[0].study.data.told if whole else ()):
        left = [one.withheld[ALL][place].value for one in whole]
        figures[f"auroc_patient_without_{name}"] = statistics.mean(each for each in left if each is not None)
    if whole:
        sites = [one.evaluation[FEDERATED][ALL] for one in whole]
        figures["auroc_patient_test_patients"] = statistics.mean(site.patients or 0 for site in sites)
        intervals = [site.metrics[METRIC] for site in sites]
        figures["auroc_patient_half_width"] = statistics.mean(
            (one.high - one.low) / 2 for one in intervals if one.high is not None and one.low is not None
        )
    return figures


def write_slices(hospital: Path, folder: Path) -> None:
    """Write some slices of each series of a hospital as PNG, by patient and sequence, with its tables."""
    if (folder / "labels.csv").exists():
        return
    clinical = list(csv.DictReader((hospital / "clinical.csv").open(encoding="utf-8-sig", newline="")))
    files = [path for path in sorted(hospital.rglob("*")) if path.is_file() and path.suffix not in (".csv", ".gz")]
    for (patient, _), series in examinations(survey(files).series).items():
        for role, one in choose(series, WANTED).taken.items():
            _write_series(one, folder / patient / role)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clinical.csv").write_bytes((hospital / "clinical.csv").read_bytes())
    lines = [f"{row['patient']},{row['who_grade_code']}" for row in clinical if row["who_grade_code"]]
    (folder / "labels.csv").write_text("\n".join(["patient,label", *lines]) + "\n", encoding="utf-8")


def _write_series(series: Series, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    inner = range(len(series) // 4, max(len(series) * 3 // 4, len(series) // 4 + 1))
    for at in evenly(len(inner), SLICES).tolist():
        pixels = np.asarray(series.slice(inner[at]), np.float64)
        low, high = float(pixels.min()), float(pixels.max())
        levels = np.rint(255 * (pixels - low) / max(high - low, 1e-9)).astype(np.uint8)
        Image.fromarray(levels).save(folder / f"{inner[at]:03d}.png")


if __name__ == "__main__":
    main(arguments("Grade by patient: attention and mean, sequences, age and sex.", "medicine-patients", tuple(ARMS)))
