"""Which fixed features keep their worth under noise: the recipe of ``halves`` with others in their place.

Run with ``make bench-private-features DATA=DIR``, where ``DIR`` holds one folder a hospital (the brain MRI hospitals):
central DP-SGD in a loop over arrays on everybody's training patients (58), eight steps of all of them, seeds 10 to 15.
Figures are the AUROC of validation and of test patients, averaged over the hospitals; the rate of each row and epsilon
is the best of six **by these same figures**, so that each row looks a little better than it is. ``--rows`` chooses some
rows and keeps the figures of the others.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from measure import known, report
from private_hospitals import LENGTH, SIZE
from private_loop import EPSILONS, STUDY, Floats, Steps, area, hospitals, models
from wardround_client import networks
from wardround_client.networks._slices import ALIKE, SPREAD, WEIGHTS
from wardround_client.networks.halves import HalvesClassifier
from wardround_client.networks.wavelets import GROUPS
from wardround_client.preparation.examples import Examples
from wardround_client.prior.learning import COMPUTED
from wardround_client.prior.sections import sections
from wardround_common.study.file import read_study
from wardround_simulation.federation import Federation, alone_study, open_hospital

SEEDS, DRAWS = tuple(range(10, 16)), 2
RATES = (0.625, 1.25, 2.5, 5.0, 10.0, 20.0)
SLICES = {
    "slices_place": ((0.0, 1.0, 0.0), 0.0),
    "slices_place_neighbours": (WEIGHTS, 0.0),
    "slices": (WEIGHTS, ALIKE),
}
"""16 directions of images that are shown among others of their series, and told their place: how the three nearest are
weighed, and which part of the mean over the series is taken off."""


class Rows:
    """Features of each image by row, computed once: an image is in many seeds' splits."""

    def __init__(self) -> None:
        self.networks = {f"directions_{kept}": HalvesClassifier(1, 2, kept) for kept in (12, 16, 24, 32)}
        self.random = networks.construct("small-cnn", 1, 2, "group", seed=0).eval()
        generator = torch.Generator().manual_seed(0)
        drawn = [sections(SIZE, SIZE, generator) for _ in range(COMPUTED // SIZE)]
        images, planted = (torch.cat(part) for part in zip(*drawn, strict=True))
        self.features = self.networks["directions_16"].features
        made = self.features(images)
        for network in self.networks.values():
            network.features = self.features  # what it keeps of an image serves all
            network.learn_from(made, planted)
        self.mean, self.spread = made.mean(0), made.std(0) + 1e-3
        self.kept: dict[bytes, dict[str, Floats]] = {}
        self.starts = {"features_259": np.zeros((2, self.features.count + 1))}
        self.starts["wavelets_157"] = np.zeros((2, sum(GROUPS) + 1))
        self.starts["random_small_cnn_514"] = np.zeros((2, 257))
        self.starts["directions_16_from_zero"] = np.zeros((2, 17))
        for name, network in self.networks.items():
            layer = network.classify
            self.starts[name] = torch.cat([layer.weight, layer.bias[:, None]], dim=1).detach().double().numpy()
        with_place = np.insert(self.starts["directions_16"], -1, 0.0, axis=1)  # no place is likelier at first
        self.starts |= dict.fromkeys(SLICES, with_place)

    @torch.no_grad()
    def of(self, name: str, images: NDArray[np.float32]) -> Floats:
        """Return (images, count + 1), a one for the bias last, or what stands for it in a slice."""
        if name in SLICES:
            near, alike = SLICES[name]
            through = images.shape[2] - len(near) - 1
            weights = (*near, *[-alike / through] * through)
            each = [self.of("directions_16", images[:, :, place]) for place in range(len(weights))]
            together = sum(weight * seen for weight, seen in zip(weights, each, strict=True))
            place = SPREAD * (images[:, 0, -1, 0, 0] - 0.5)
            return np.insert(together, -1, place, axis=1)
        missing = [image for image in images if image.tobytes() not in self.kept]
        for image in missing:
            given = torch.from_numpy(image[None])
            seen = self.features(given)
            maps = self.random.features(given)
            found = {
                "features_259": _long((seen - self.mean) / self.spread / self.features.count**0.5),
                "wavelets_157": _long(seen[:, : sum(GROUPS)] / 2),
                "random_small_cnn_514": _long(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1) / 16),
            }
            found |= {one: network.directions(seen) for one, network in self.networks.items()}
            found["directions_16_from_zero"] = found["directions_16"]
            self.kept[image.tobytes()] = {
                one: np.append(values.double().numpy().ravel(), 1.0) for one, values in found.items()
            }
        return np.stack([self.kept[image.tobytes()][name] for image in images])


def _long(features: torch.Tensor) -> torch.Tensor:
    return LENGTH * features


def padded(of: Callable[[NDArray[np.float32]], Floats], parts: Sequence[Examples]) -> tuple[Floats, NDArray[np.int64]]:
    """Return patients' features (patients, images, count + 1) and classes, with zeros for missing images."""
    patients = [
        (of(part.images(places)), part.targets[places]) for part in parts for places in part.places_by_patient()
    ]
    most = max(len(targets) for _, targets in patients)
    seen = np.zeros((len(patients), most, patients[0][0].shape[1]))
    classes = np.zeros((len(patients), most), dtype=np.int64)
    for number, (features, targets) in enumerate(patients):
        seen[number, : len(targets)], classes[number, : len(targets)] = features, targets
    return seen, classes


def main() -> None:
    """Train each row at each epsilon and rate, and report the best rate's."""
    parser = argparse.ArgumentParser(description="Fixed features under differential privacy.")
    parser.add_argument("data", type=Path, help="a folder with one sub-folder a hospital")
    parser.add_argument("--state", type=Path, default=None, help="where prepared images are kept between calls")
    parser.add_argument("--rows", nargs="+", default=None, help="these rows alone, such as slices directions_16")
    typed = parser.parse_args()
    found: dict[tuple[str, int | None, float], list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        sites = hospitals(typed.data, typed.state or Path(scratch) / "state")
        rows = Rows()
        if unknown := sorted({*(typed.rows or ())} - {*rows.starts}):
            parser.error(f"no row {unknown[0]}; there are {', '.join(rows.starts)}")
        for seed in track(SEEDS, "seeds", console=Console(stderr=True)):
            opened = {}
            for record in ("image", "slice"):
                study = alone_study(read_study(STUDY, {"model.seed": seed, "data.record": record}))
                opened[record] = [open_hospital(Federation(study, (site,)), site.name).dataset for site in sites]
            for name in typed.rows or rows.starts:
                start, datasets = rows.starts[name], opened["slice" if name in SLICES else "image"]
                of = padded(partial(rows.of, name), [each.train for each in datasets])
                judged = [each for dataset in datasets for each in (dataset.validation, dataset.test)]
                tested = [(rows.of(name, each.images(slice(None))), each.targets) for each in judged]
                for epsilon in (*EPSILONS, None):
                    for rate in RATES:
                        last = models(*of, start, Steps(rate), epsilon, [(seed, draw) for draw in range(DRAWS)])[-1]
                        values = [area(model, *each) for model in last for each in tested]
                        found.setdefault((name, epsilon, rate), []).append(statistics.mean(values))
    figures = {}
    for name in typed.rows or rows.starts:
        for epsilon in (*EPSILONS, None):
            best = max((found[name, epsilon, rate] for rate in RATES), key=statistics.mean)
            words = "none" if epsilon is None else f"eps{epsilon}"
            figures |= {f"auroc_{words}_{name}": statistics.mean(best)}
    report("private_features", figures, {}, known("private_features") if typed.rows else None)


if __name__ == "__main__":
    main()
