"""What one hospital that lies can do to a model under secure sums, and what stopping it costs.

Run with ``make bench-robust``. Four synthetic hospitals, three of them honest; the fourth runs our code with other
numbers inside its masks, and lies in the vote too. ``largest_shift_over_clip`` is over a list of lies about levels and
weights, in one round; the AUROC is that of a study in which every third round is poisoned. Processor time and bytes of
a round are those of the same hospitals with and without the vote and the statements, taking turns; the quickest rounds
count.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from liars import Lie, levels, lying, training
from measure import report
from wardround_client import networks
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_common.errors import RoundError, WardroundError
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.randomness import insecure_stream
from wardround_common.secagg.encoding import Encoding
from wardround_common.secagg.exchange import Masked
from wardround_common.study.file import Study
from wardround_server.rounds import secure_rounds
from wardround_server.rounds.course import Event, RoundBegins, RoundEnds, State, judge_study, run_study
from wardround_server.rounds.secure_rounds import open_consortium
from wardround_simulation.federation import (
    Federation,
    alone_study,
    insecure_identity,
    insecure_roster,
    open_hospital,
)
from wardround_simulation.phantoms import CLASSES, SCANNERS, make_hospitals
from wardround_simulation.places import Places, sites_in

PATIENTS = 160
ROUNDS = 15
LIAR = "hospital-b"
HEAVIEST = 100  # training images of a hospital: 96 to 100
VOTE = {"vote_margin": 0.5, "clip_statements": True}
STRICT = VOTE | {"vote_margin": 0.05}
TIGHT = {"update_clip": 0.01, "largest_weight": HEAVIEST}
MEANINGS = {
    "largest_shift_over_clip": "how far one liar moves a number of the model in a round, over update_clip (at most 1)",
    "largest_shift_over_clip_unchecked": "the same without the checks, as it was",
    "robust_round_over_secure_round": "processor time of a secure round with vote and statements over one without",
    "robust_bytes_over_secure": "bytes of such a round, both ways, over one without",
    "auroc_honest": "all test patients, no liar, no vote",
    "auroc_honest_vote": "the same with the vote, margin 0.5",
    "auroc_honest_strict": "the same with a strict vote, margin 0.05",
    "auroc_ring_unchecked": "every third round poisoned with all that the ring holds, without the checks",
    "auroc_ring": "the same with them: those rounds are refused",
    "auroc_poisoned": "every third round poisoned with all that the bound allows (update_clip 4, weight 65,536)",
    "auroc_poisoned_tight": "the same with a tight bound (update_clip 0.01, largest_weight 100)",
    "auroc_poisoned_vote": "the same as the last but one, with the vote",
    "auroc_poisoned_tight_vote": "tight bound and vote: what stays below the margin is accepted",
    "auroc_poisoned_tight_strict": "tight bound and strict vote",
}


def study(rounds: int, **aggregation: Any) -> Study:
    """Return the benchmark's study."""
    return Study.model_validate(
        {
            "study": {"name": "robust"},
            "task": {"name": "classification", "classes": list(CLASSES)},
            "data": {
                "modalities": sorted({scanner.modality for scanner in SCANNERS}),
                "image_size": 48,
                "intensity": "percentile",
            },
            "model": {"network": "small-cnn"},
            "training": {
                "strategy": "fedavg",
                "rounds": rounds,
                "local_epochs": 1.0,
                "batch_size": 16,
                "optimiser": "adamw",
                "learning_rate": 1e-3,
            },
            "privacy": {"mechanism": "none"},
            "aggregation": {"min_hospitals": len(SCANNERS), "secure": True} | aggregation,
            "evaluation": {"validation": 0.15, "test": 0.25},
        }
    )


class Hospitals:
    """The hospitals of a folder in this process, as an exchange; one of them may lie in some rounds."""

    def __init__(self, of: Study, images: Path, folder: Path, lie: Lie | None = None, *, every: int = 1) -> None:
        sites = sites_in(images, Places(None, None, frozenset(), images.with_name("state")))
        self.federation = Federation(of, sites, folder / "desks")
        roster, built = insecure_roster(self.federation), build(of)
        self.at: dict[str, Hospital] = {}
        for site in sites:
            data = open_hospital(Federation(alone_study(of), sites), site.name).dataset
            stream = insecure_stream(0, "hospital", site.name)
            identity = insecure_identity(of, site.name)
            desk = Desk(of, site.name, identity, roster, folder / site.name, os.urandom)
            self.at[site.name] = join(of, data, stream, built, desk)
        self.consortium = open_consortium(folder / "coordinator", roster)
        self.states: list[State] = []
        self.seconds: list[float] = []
        """Of the processor, by round: all hospitals' and the coordinator's, who take turns in one thread."""
        self._round, self._began = 0, 0.0
        if lie:
            self.at[LIAR] = lying(self.at[LIAR], self._sometimes(lie, every), perjurer=True)

    def _sometimes(self, lie: Lie, every: int) -> Lie:
        def now(what: str, encoding: Encoding, masked: Masked) -> Masked:
            return lie(what, encoding, masked) if self._round % every == 0 else masked

        return now

    def hospitals(self) -> Sequence[str]:
        """Name them."""
        return sorted(self.at)

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Let each answer."""
        for name, question in questions.items():
            try:
                yield name, self.at[name].answer(kind, question).parts()
            except WardroundError as error:
                yield name, Failure(error.kind)

    def run(self) -> State | None:
        """Run the study; None if every round was refused."""

        def watch(event: Event) -> None:
            if isinstance(event, RoundBegins):
                self._round, self._began = event.number, time.process_time()
            if isinstance(event, RoundEnds):
                self.seconds.append(time.process_time() - self._began)
                self.states.append(event.state)

        try:
            return run_study(self.federation.study, self, watch, None, self.consortium)
        except RoundError as error:
            print(error.what)
            return self.states[-1] if self.states else None


def against(size: float, weight: int) -> Lie:
    """Move each number against the hospital's own update, by ``size`` of what its claimed weight allows."""

    def lie(what: str, encoding: Encoding, masked: Masked) -> Masked:
        if what == "train":
            own = masked.update.view("<i4") if encoding.bits == 32 else masked.update.view("<i2")
            reach = int(size * encoding.levels * weight // encoding.largest_weight)
            masked.update[:] = np.where(own > 0, -reach, reach).astype(masked.update.dtype)
            masked.counts[0] = weight
        return masked

    return lie


def ring(what: str, encoding: Encoding, masked: Masked) -> Masked:
    """Fill the ring, and take the others' weights off so that all weigh one image each."""
    if what == "train":
        masked.update[:] = np.array(2 ** (encoding.bits - 1) - 2 ** (encoding.bits - 13), encoding.dtype)
        masked.counts[0] = np.uint64((4 - OTHERS["weight"]) % 2**64)
    return masked


OTHERS = {"weight": 0}


def shifts(images: Path, folder: Path) -> Iterator[float]:
    """Return how far each lie moves a number of the model in one round, over update_clip."""
    of = study(1)
    start, clip = networks.read_vector(networks.build(of)), of.aggregation.clip
    lies: list[Lie] = [
        ring,
        levels(lambda e: e.levels),
        levels(lambda e: -e.levels),
        levels(lambda e: e.levels, weight=1),
        levels(lambda e: e.levels, weight=2**16),
        levels(lambda e: e.levels, weight=2**18),
        levels(lambda e: e.levels, weight=4 - OTHERS["weight"]),
        levels(lambda e: 2**31 - 1),
        against(1.0, 2**16),
        against(1.0, 96),
        training(0, 4 - OTHERS["weight"]),
        training(0, 2**16),
    ]
    for place, lie in enumerate(lies):
        hospitals = Hospitals(of, images, folder / str(place), lie)
        state = hospitals.run()
        yield 0.0 if state is None else float(np.abs(state.parameters - start).max() / clip)


def auroc(of: Study, images: Path, folder: Path, lie: Lie | None = None) -> float:
    """Return the AUROC over all test patients of the model that a study ends with; 0.5 where it gives no numbers."""
    hospitals = Hospitals(of, images, folder, lie, every=3)
    state = hospitals.run()
    if state is None:
        return 0.5
    refused = [record.number for record in state.history if record.refused]
    found = judge_study(of, hospitals, state, hospitals.consortium).test.auroc()
    print(f"{folder.name}: AUROC {found}, refused rounds {refused}")
    return 0.5 if found is None else found


def costs(images: Path, folder: Path) -> dict[str, float]:
    """Compare a round with vote and statements with one without."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    sizes: dict[bool, int] = {}
    for turn in range(3):
        for robust in (False, True):
            of = study(4, **(VOTE | {"vote_margin": 100.0} if robust else {}))
            hospitals = Hospitals(of, images, folder / f"{turn}-{robust}")
            state = hospitals.run()
            if state is None:
                raise RuntimeError("an honest round was refused")
            seconds[robust] += hospitals.seconds
            last = state.history[-1]
            sizes[robust] = last.bytes_to_hospitals + last.bytes_from_hospitals
    return {
        "robust_round_over_secure_round": min(seconds[True]) / min(seconds[False]),
        "robust_bytes_over_secure": sizes[True] / sizes[False],
    }


def main() -> None:
    """Measure, print the table, write the figures."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder, images = Path(name), Path(name) / "hospitals"
        make_hospitals(images, seed=0, patients=PATIENTS)
        honest = Hospitals(study(1), images, folder / "sizes")
        sizes = {one: len(hospital.dataset.train) for one, hospital in honest.at.items()}
        print(f"training images: {sizes}")
        OTHERS["weight"] = sum(size for one, size in sizes.items() if one != LIAR)
        figures = {"largest_shift_over_clip": max(shifts(images, folder / "checked"))}
        checks = secure_rounds.mean_excess
        secure_rounds.mean_excess = lambda *arguments, **more: ""
        figures["largest_shift_over_clip_unchecked"] = max(shifts(images, folder / "unchecked"))
        figures["auroc_ring_unchecked"] = auroc(study(ROUNDS), images, folder / "ring unchecked", ring)
        secure_rounds.mean_excess = checks
        figures |= costs(images, folder / "costs")
        bound = against(1.0, 2**16)
        tight = against(1.0, HEAVIEST)
        figures["auroc_honest"] = auroc(study(ROUNDS), images, folder / "honest")
        figures["auroc_honest_vote"] = auroc(study(ROUNDS, **VOTE), images, folder / "honest, vote")
        figures["auroc_honest_strict"] = auroc(study(ROUNDS, **STRICT), images, folder / "honest, strict")
        figures["auroc_ring"] = auroc(study(ROUNDS), images, folder / "ring", ring)
        figures["auroc_poisoned"] = auroc(study(ROUNDS), images, folder / "poisoned", bound)
        figures["auroc_poisoned_tight"] = auroc(study(ROUNDS, **TIGHT), images, folder / "tight", tight)
        figures["auroc_poisoned_vote"] = auroc(study(ROUNDS, **VOTE), images, folder / "vote", bound)
        figures["auroc_poisoned_tight_vote"] = auroc(
            study(ROUNDS, **TIGHT, **VOTE), images, folder / "tight, vote", tight
        )
        figures["auroc_poisoned_tight_strict"] = auroc(
            study(ROUNDS, **TIGHT, **STRICT), images, folder / "tight, strict", tight
        )
    report("robust", {name: figures[name] for name in MEANINGS}, MEANINGS)


if __name__ == "__main__":
    main()
