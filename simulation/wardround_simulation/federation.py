"""A federation on one machine: which hospitals there are, and how a process opens one to answer a question."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from wardround_client.hospital.answering import Built, Hospital, build, join
from wardround_client.hospital.app import client_app
from wardround_client.hospital.secure_desk import Desk
from wardround_client.intake.instance import Index, Instance
from wardround_client.preparation.dataset import Dataset, Intake, prepare, take_in, wanted_images
from wardround_client.preparation.examples import Examples
from wardround_client.preparation.kept_volumes import KeptVolumes
from wardround_client.preparation.mapped_masks import MappedMasks
from wardround_client.preparation.source import Source
from wardround_client.site_shift.kept import Kept
from wardround_client.spending.account import Account, approve_all, ask, ask_judged
from wardround_client.spending.ledger.store import open_ledger
from wardround_client.spending.policy import Policy
from wardround_client.spending.policy_check import check_kind
from wardround_client.tasks.contract import Found
from wardround_client.tasks.outline_measures import Places
from wardround_client.training.devices import CPU
from wardround_common.errors import RoundError, WardroundError
from wardround_common.keys.identity import Identity, Roster
from wardround_common.messages.parameters import Vector
from wardround_common.randomness import insecure_stream
from wardround_common.storage import read_whole
from wardround_common.study.aggregation import Aggregation
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd

WEIGHTS = "start.weights"
"""In a run's folder: the file of weights that its study's network begins with."""
START = "start.safetensors"
"""In a run's folder: the model that its study starts from."""
OWN_PARTS = "own"
"""In a run's folder: what each hospital keeps from round to round: its own part of the model, or a control variate."""
MOST_OPEN = 16_384
"""Hospitals that one process keeps open: more than a secure sum can be over."""


@dataclass(frozen=True)
class Site:
    """One hospital of the simulation, by the name that reports use."""

    name: str
    sources: tuple[Source, ...]
    """One; several for the pooled baseline, which trains on all hospitals' patients as if they were one's."""
    said_of_cut: str = ""
    """Of which patients of a pool no hospital was made, in one sentence, the same at all of them; empty: of none."""


@dataclass(frozen=True)
class Federation:
    """A study and the hospitals that take part; sent to each worker process, once."""

    sent_once: ClassVar[bool] = True

    study: Study
    sites: tuple[Site, ...]
    desks: Path | None = None
    """Where the hospitals keep what they must remember of secure sums, each in a folder of its own."""
    ledgers: Path | None = None
    """Where the hospitals keep their ledgers, each in a folder of its own; None for a baseline, which has none."""
    policy: Policy | None = None
    """The policy of every hospital, if there is one."""
    device: str = CPU
    """What every hospital trains on, as ``devices.choose`` chose it."""
    start: Path | None = None
    """The file of the model that the study starts from, if it starts from one."""
    kept: Path | None = None
    """Where the hospitals keep what they have of the model for themselves; None where the study shares all of it."""

    weights: Path | None = None
    """The file of weights that the network begins with, if the study names one."""

    @property
    def begins(self) -> dict[str, Any]:
        """With which files its models begin: another federation of the same study has the same."""
        return {"start": self.start, "weights": self.weights}

    def first_model(self) -> bytes | None:
        """Read the model that the study starts from; None where it starts from what the seed gives."""
        return read_whole(self.start) if self.start and self.study.model.start else None

    def site(self, name: str) -> Site:
        """Return the site of that name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Site]:
        return {site.name: site for site in self.sites}

    @cached_property
    def roster(self) -> Roster:
        """The roster of the simulated hospitals, whose keys anybody with the seed can make."""
        return Roster({site.name: insecure_identity(self.study, site.name).public for site in self.sites})

    @cached_property
    def app(self) -> ClientApp:
        """The app that answers for its hospitals, made once: a round asks each of them up to seven questions."""
        return client_app(lambda context: open_hospital(self, str(context.node_config["hospital"])))

    @cached_property
    def pairs(self) -> dict[tuple[bytes, ...], bytes]:
        """What one hospital of a pair found that both agree on, for the other one if it is in this process too."""
        return {}

    @cached_property
    def _hash(self) -> int:
        places = (self.desks, self.ledgers, self.start, self.kept)
        return hash((self.study, self.sites, self.policy, self.device, *places, self.weights))

    def __hash__(self) -> int:
        """Return a hash, computed once: there may be thousands of sites, and each question is one look-up."""
        return self._hash

    def __getstate__(self) -> dict[str, Any]:
        """Return what crosses to another process: no hash, which is another there, no app and no keys."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def nodes(names: Sequence[str]) -> dict[int, str]:
    """Number each hospital as Flower's node: 1000, 1001 and so on."""
    return dict(enumerate(names, start=1000))


def alone_study(study: Study) -> Study:
    """Return the study that a hospital trains alone: the same in all but the aggregation, where there is none.

    Where hospitals would share the noise out, the one adds all of it: DP-SGD with the same rate, steps and budget.
    """
    return study.model_copy(update={"aggregation": Aggregation(min_hospitals=1, secure=False)})


def shared_study(study: Study) -> Study:
    """Return the study whose hospitals keep nothing from round to round: what its measure is compared with.

    Of a study whose steps are corrected it is the one of the same steps without, averaged as they are.
    """
    bare: dict[str, object] = {"personal": None, "ditto_lambda": None}
    if study.training.variates:
        bare = {"strategy": "fedavg", **{key.name: None for key in study.training.how.keys}}
    training = study.training.model_copy(update=bare)
    return study.model_copy(update={"training": training}) if study.training.keeps else study


def study_of_fewer(study: Study, hospitals: int) -> Study:
    """Return the study that this number of its hospitals follow without the others: the same but for who must be there.

    Sums are plain, which gives the same model but for rounding, unless the noise is shared out under secure ones.
    """
    least = min(study.aggregation.min_hospitals, hospitals)
    if not isinstance(study.privacy, DistributedDpSgd) or hospitals < 2:
        aggregation = Aggregation(min_hospitals=least, secure=False)
        if study.aggregation.largest_weight == 1:  # each hospital counts alike, among fewer too
            aggregation = aggregation.model_copy(update={"largest_weight": 1})
    else:
        aggregation = study.aggregation.model_copy(update={"min_hospitals": max(least, 2), "threshold": None})
    return study.model_copy(update={"aggregation": aggregation})


def draft_of(study: Study) -> Study:
    """Return the study without its roster: a simulation has none of its hospitals' private keys."""
    return study.model_copy(update={"roster": ()})


def insecure_identity(study: Study, name: str) -> Identity:
    """Return a simulated hospital's key, which **anybody with the seed can make**: its signatures prove nothing."""
    return Identity(insecure_stream(study.model.seed, "identity", name).words(4).tobytes())


def insecure_roster(federation: Federation) -> Roster:
    """Return the roster of the simulated hospitals."""
    return federation.roster


@lru_cache(maxsize=MOST_OPEN)
def open_hospital(federation: Federation, name: str) -> Hospital:
    """Open one hospital in this process; its data, and the network that all share, are opened once.

    Its randomness comes from the study's seed, so a run can be repeated, **and its noise protects nobody**: a hospital
    that serves uses the operating system's generator.
    """
    site = federation.site(name)
    study = federation.study
    stream = insecure_stream(study.model.seed, "hospital", name)
    form = alone_study(study)  # how many hospitals take part changes neither data nor network
    dataset = _dataset(site, shared_study(form))
    account, judged = _accounts(federation, name, dataset)
    built = _built(form, federation.device, federation.weights if form.model.weights else None)
    allowed = federation.policy and federation.policy.protection
    tells, tells_maps = (allowed.subgroups, allowed.maps) if allowed else (True, True)
    kept = kept_of(federation, name, built.first_own)
    return join(study, dataset, stream, built, _desk(federation, name), account, tells, kept, tells_maps, judged)


def kept_of(federation: Federation, name: str, first: Vector) -> Kept | None:
    """Return where a hospital keeps its own part of the model; None where the study shares all of it."""
    if federation.kept is None:
        return None
    return Kept(kept_file(federation.kept, name), federation.study.digest(), first, durable=False)


def kept_file(kept: Path, name: str) -> Path:
    """Return the file of a hospital's own part below the run's folder of them."""
    return kept / _folder_name(name)


def _accounts(federation: Federation, name: str, dataset: Dataset) -> tuple[Account | None, dict[str, Account]]:
    """Open a hospital's accounts, and approve the study there: in a simulation nobody else is there to do it.

    Those of its training patients, and of those on whom the model is judged with noise. A hospital that only evaluates
    has none: nothing of it is charged.
    """
    if federation.ledgers is None:
        return None, {}
    if not dataset.trains:
        if federation.policy is not None:
            check_kind(federation.policy, federation.study, dataset.test.patient_count, trains=False)
        return None, {}
    identity = insecure_identity(federation.study, name)
    try:
        ledger = open_ledger(ledger_folder(federation.ledgers, name), identity, durable=False)
        asked, judged = ask(federation.study, dataset, ledger), ask_judged(federation.study, dataset, ledger)
        approve_all(judged, asked, ledger, federation.policy)
    except WardroundError as error:
        error.where = f"hospital {name}, {error.where}" if error.where else f"hospital {name}"
        raise
    of_splits = {str(one.split): Account(ledger, federation.policy, one) for one in judged}
    return Account(ledger, federation.policy, asked), of_splits


def ledger_folder(ledgers: Path, name: str) -> Path:
    """Return the folder of a hospital's ledger below the run's folder of ledgers."""
    return ledgers / _folder_name(name)


def _folder_name(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]  # a hospital's name may be no name of a folder


def _desk(federation: Federation, name: str) -> Desk | None:
    if not federation.study.aggregation.secure:
        return None
    if federation.desks is None:
        raise RoundError("the study's sums are secure, and the simulation names no folder for the hospitals' keys")
    folder = federation.desks / _folder_name(name)
    identity = insecure_identity(federation.study, name)
    roster, pairs = insecure_roster(federation), federation.pairs
    return Desk(federation.study, name, identity, roster, folder, os.urandom, durable=False, pairs=pairs)


def forget_hospitals() -> None:
    """Let go of the hospitals that this process opened, with what it read of them; they are opened anew when asked."""
    for kept in (open_hospital, _dataset, _built, _taken_in):
        kept.cache_clear()


@lru_cache(maxsize=2)
def _built(study: Study, device: str, weights: Path | None) -> Built:
    return build(study, device, weights.read_bytes() if weights else None)


@lru_cache(maxsize=16)
def _taken_in(source: Source, study: Study) -> tuple[Index, Found]:
    return take_in(source, study)  # once for all hospitals that are cut from one folder


@lru_cache(maxsize=MOST_OPEN)
def _dataset(site: Site, study: Study) -> Dataset:
    try:
        taken_in = [_taken_in(replace(source, patients=None), study) for source in site.sources]
        trains = study.trains(site.name)
        return pool(
            [
                prepare(source, study, *taken, trains=trains)
                for source, taken in zip(site.sources, taken_in, strict=True)
            ]
        )
    except WardroundError as error:
        error.where = f"hospital {site.name}, {error.where}" if error.where else f"hospital {site.name}"
        raise


def images_of(federation: Federation, name: str) -> tuple[list[Instance], list[str]]:
    """List the images that a hospital has for the study, and what it says of each in a word; nothing is decoded.

    Raises:
        DataError: the folder cannot be read, or the labels do not fit.
    """
    images: list[Instance] = []
    words: list[str] = []
    study = shared_study(alone_study(federation.study))  # as its data are opened by: they are taken in once for both
    for source in federation.site(name).sources:
        index, found = _taken_in(replace(source, patients=None), study)
        wanted, _ = wanted_images(source, study, index, found)
        images += wanted
        words += [found.words[instance.file] for instance in wanted]
    return images, words


def pool(datasets: Sequence[Dataset]) -> Dataset:
    """Put several hospitals' data together; each patient stays in the split where their hospital put them."""
    if len(datasets) == 1:
        return datasets[0]
    return Dataset(
        train=_join([dataset.train for dataset in datasets]),
        validation=_join([dataset.validation for dataset in datasets]),
        test=_join([dataset.test for dataset in datasets]),
        intake=Intake({}, {}, (), sum(dataset.intake.duplicates_across_splits for dataset in datasets), ()),
        fingerprint="",
        identifiers=(),  # of several hospitals, whose ledgers know nothing of a baseline
    )


def _join(parts: Sequence[Examples]) -> Examples:
    shift, patients = 0, []
    for part in parts:
        patients.append(part.patients + shift)
        shift = int(patients[-1].max(initial=shift - 1)) + 1
    if all(isinstance(part.kept, KeptVolumes) for part in parts):
        return _join_volumes(parts, np.concatenate(patients))
    kept = np.concatenate([part.images(slice(None)) for part in parts])
    targets = np.concatenate([part.targets[:] for part in parts])
    return Examples(kept, np.arange(len(kept)), targets, np.concatenate(patients), _places(parts))


def _join_volumes(parts: Sequence[Examples], patients: NDArray[np.int64]) -> Examples:
    """Put volumes together, which stay on the disk."""
    kept = [part.kept for part in parts if isinstance(part.kept, KeptVolumes)]
    volumes = KeptVolumes(tuple(volume for one in kept for volume in one.volumes), kept[0].patch, kept[0].each)
    starts = np.cumsum([0, *map(len, kept)])
    rows = np.concatenate([part.rows + start for part, start in zip(parts, starts, strict=False)])
    voxels = np.concatenate([part.targets.voxels for part in parts if isinstance(part.targets, MappedMasks)])
    return Examples(volumes, rows, MappedMasks(volumes.masks, rows, voxels), patients, _places(parts))


def _places(parts: Sequence[Examples]) -> Places | None:
    """Put places together; the volumes of one part stay apart from those of another one."""
    shift, moved = 0, []
    for part in parts:
        if part.places is None:
            return None
        moved.append(replace(part.places, series=part.places.series + shift))
        shift = int(moved[-1].series.max(initial=shift - 1)) + 1
    return Places(
        np.concatenate([one.series for one in moved]),
        np.concatenate([one.heights_mm for one in moved]),
        np.concatenate([one.spacing_mm for one in moved]),
    )
