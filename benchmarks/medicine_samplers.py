"""What draws an image's latent numbers, their prior or a diffusion learnt beside it: what the images are like.

Run with ``python benchmarks/medicine.py DIR --only samplers``, with the hospitals of ``medicine_generation`` and its
studies, with ``sampler = "prior"`` and ``"diffusion"``, without privacy and with shared noise at epsilon 8. Each
hospital checks the images of each generator beside its own (``wardround generate --check``); figures are means over the
hospitals. Runs of the part ``generation`` are not trained again; figures are written after each seed.
"""

from __future__ import annotations

import statistics
from dataclasses import replace

from medicine_generation import MADE, generator_study, opened
from trained import Arguments, hospitals_in, over_seeds, run
from wardround_client.generation.checking import Checks, check
from wardround_common.results.model_folder import MODEL
from wardround_common.study.file import Study

SAMPLERS, WAYS = ("prior", "diffusion"), {"": False, "_eps8": True}
FIGURES = {
    "frechet": f"Fréchet distance of {MADE} made images to test patients', by fixed wavelets",
    "coverage": "the part of the test patients' images that have a made one near",
    "density": "how near made images are to test patients' (1: as these among themselves)",
    "membership_bound": "AUROC by which the model's bound tells training from test patients",
    "membership_images": "AUROC by which the nearest made image tells them",
}
MEANINGS = {
    "samplers_seeds": "how many seeds the figures of samplers are the mean over",
    "frechet_of_patients": "training patients' images in the place of made ones, mean over hospitals and seeds",
    "coverage_of_patients": "the same",
    "density_of_patients": "the same",
} | {
    f"{figure}_{sampler}{way}": f"{meaning}, mean over hospitals and seeds; sampler {sampler}, "
    + ("epsilon 8" if private else "no privacy")
    for figure, meaning in FIGURES.items()
    for sampler in SAMPLERS
    for way, private in WAYS.items()
}


def main(typed: Arguments) -> None:
    """Run what is missing, print the figures, and write after each seed those of the seeds that are done."""
    typed = replace(typed, data=hospitals_in(typed.data, "brain_mri"))
    over_seeds(typed, lambda seed: _seed(typed, seed), MEANINGS, "samplers_seeds")


def _seed(typed: Arguments, seed: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    for way, private in WAYS.items():
        for sampler in SAMPLERS:
            study = generator_study(private=private, changed=typed.changed, sampler=sampler)
            found = _checked(study, seed, typed)
            for name in FIGURES:
                figures[f"{name}_{sampler}{way}"] = statistics.mean(one[name] for one in found)
            for name in ("frechet", "coverage", "density"):
                figures[f"{name}_of_patients"] = statistics.mean(one[f"{name}_of_patients"] for one in found)
            print(
                seed, study.study.name, sampler, {name: round(figures[f"{name}_{sampler}{way}"], 3) for name in FIGURES}
            )
    return figures


def _checked(study: Study, seed: int, typed: Arguments) -> list[dict[str, float]]:
    """Train the generator, and return the figures of each hospital's check."""
    study = study.model_copy(update={"model": study.model.model_copy(update={"seed": seed})})
    run(study, seed, typed, baselines=False)
    folder = typed.out / f"{study.study.name}-{study.digest()[:8]}-{seed}"
    model = opened(study, (folder / MODEL).read_bytes())
    return [_figures(check(model, site.sources[0], MADE, seed).checks) for site in typed.sites()]


def _figures(checks: Checks) -> dict[str, float]:
    bound, images = checks.membership.value, checks.membership_by_images.value
    if bound is None or images is None:
        raise ValueError("a hospital has no patient of one of the two kinds")
    return {
        "frechet": checks.frechet,
        "coverage": checks.coverage,
        "density": checks.density,
        "membership_bound": bound,
        "membership_images": images,
        "frechet_of_patients": checks.frechet_of_patients,
        "coverage_of_patients": checks.coverage_of_patients,
        "density_of_patients": checks.density_of_patients,
    }
