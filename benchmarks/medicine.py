"""Tasks beside classification and outlines: what federation gives each.

Run with ``python benchmarks/medicine.py DATA``, where ``DATA`` holds folders with one folder a hospital each; with
``--only`` and a part, ``DATA`` may be that folder itself. ``detection``: boxes around the parts of outlines, by
``benchmarks/studies/brain-mri-boxes.toml`` (series and masks, ``brain_mri_volumes``). ``generation``: made images
(``medicine_generation``; ``brain_mri``). ``samplers``: what draws them (``medicine_samplers``; the same hospitals).
``imbalance``: one image in fifty (``medicine_rare``; ``chest_xray``). Runs are kept under ``--out`` and resumed when
you start the benchmark again. ``--size``, ``--passes``, ``--seeds`` and ``--network`` make it smaller: what was
measured with other numbers than the study's is no figure of it, and such runs print, and write nothing. How many seeds
the figures are of is written beside them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import medicine_generation
import medicine_rare
import medicine_samplers
from trained import Arguments, arguments, hospitals_in, keep, mean_of, run, show, show_by_site
from wardround_common.results import FEDERATED, POOLED, Results, alone_hospital
from wardround_common.study.file import Study, read_study

BOXES = Path(__file__).parent / "studies" / "brain-mri-boxes.toml"
AP = "ap_iou10"
PARTS = ("detection", "generation", "samplers", "imbalance")
MEANINGS = {
    "ap_seeds": "how many seeds the figures of boxes are the mean over",
    "ap_federated": "AP at IoU 0.1 of boxes in the test patients' slices, averaged over the hospitals, mean over seeds",
    "ap_pooled": "all training patients in one place, the same passes over each hospital's",
    "ap_alone_best": "the best single hospital's own model, on the same test patients",
    "ap_iou50_federated": "AP at IoU 0.5, as ap_federated",
    "sensitivity_1fp": "federated, at 1 false positive a slice",
    "froc_federated": "federated, mean sensitivity at 1/8 to 8 false positives a slice",
}


def main(typed: Arguments) -> None:
    """Run the parts that were asked for."""
    if "detection" in typed.only:
        detection(typed)
    if "generation" in typed.only:
        medicine_generation.main(typed)
    if "samplers" in typed.only:
        medicine_samplers.main(typed)
    if "imbalance" in typed.only:
        medicine_rare.main(typed)


def detection(typed: Arguments) -> None:
    """Run what is missing, print the tables, and write the figures if they are those of the study."""
    tables = read_study(BOXES).tables(nulls=False)
    typed = replace(typed, data=hospitals_in(typed.data, "brain_mri_volumes"))
    for section, values in typed.changed.items():
        tables[section] |= values
    runs = [run(Study.model_validate(tables), seed, typed) for seed in typed.seeds]
    show_by_site("AP at IoU 0.1", runs, AP)
    figures = figures_of(runs)
    if typed.changed:
        show(figures)
        return
    keep(figures, MEANINGS, seeds=typed.seeds, count="ap_seeds")


def figures_of(runs: list[Results]) -> dict[str, float]:
    """Return the figures of boxes."""
    alone = [mean_of(runs, model, AP) for model in runs[0].evaluation if alone_hospital(model)]
    return {
        "ap_seeds": len(runs),
        "ap_federated": mean_of(runs, FEDERATED, AP),
        "ap_pooled": mean_of(runs, POOLED, AP),
        "ap_alone_best": max(alone),
        "ap_iou50_federated": mean_of(runs, FEDERATED, "ap_iou50"),
        "sensitivity_1fp": mean_of(runs, FEDERATED, "sensitivity_1fp"),
        "froc_federated": mean_of(runs, FEDERATED, "froc"),
    }


if __name__ == "__main__":
    main(arguments("Boxes around lesions, made images, and one image in fifty.", "medicine", PARTS))
