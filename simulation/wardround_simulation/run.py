"""A whole simulated run: prepare, rounds, baselines, scores, report; every part can be stopped and resumed."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import operator
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tomli_w
from flwr.app import Context, RecordDict
from numpy.typing import NDArray

from wardround_client import networks
from wardround_client.intake.patients import guessed, said_of_doubts, said_of_patients
from wardround_client.spending.ledger.store import LEDGER_NAME
from wardround_client.spending.policy import Policy
from wardround_client.state.weights_files import read_weights_file
from wardround_client.training.accounting import SampledGaussian, epsilon_of
from wardround_client.training.devices import CPU, choose
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import RoundError, StorageError, StudyError, WardroundError
from wardround_common.messages.parameters import Vector
from wardround_common.metrics import PatientSums
from wardround_common.metrics.shapes import Point
from wardround_common.results import (
    ALL,
    EXTERNAL,
    FEDERATED,
    POOLED,
    SHARED,
    TRAINED,
    HospitalRecord,
    MapFigures,
    PrivacySpent,
    Recalibrated,
    Results,
    RoundRecord,
    SiteMetrics,
    Subgrouping,
    Withheld,
    alone,
    evaluate,
    without,
)
from wardround_common.results.evaluation import recalibrated
from wardround_common.results.map_sums import MapCell, figures_of_maps
from wardround_common.results.released import Released, check_start, prepared_otherwise, read_released, study_of
from wardround_common.results.subgroup_sums import judge as judge_by_subgroup
from wardround_common.results.unlike import UNLIKE, read_summed
from wardround_common.results.withheld import figures_of_withheld
from wardround_common.storage import read_whole, write_atomically
from wardround_common.study.file import DpSgd, Study, read_study
from wardround_common.study.words import (
    said_of_classes,
    said_of_graph,
    said_of_intensities,
    said_of_own_code,
    said_of_own_parts,
    said_of_plugins,
)
from wardround_common.tasks.registry import task_of
from wardround_server.report import write_report
from wardround_server.report.tracking import check_tracking, open_tracking
from wardround_server.rounds.app import server_app
from wardround_server.rounds.attendance import refusals
from wardround_server.rounds.checkpoint import read_checkpoint, write_checkpoint
from wardround_server.rounds.course import NOT_USUAL, Event, RoundEnds, State, describe_usual, run_study
from wardround_server.rounds.exchange import Exchange
from wardround_server.rounds.model_file import write_model
from wardround_server.rounds.secure_rounds import open_consortium
from wardround_simulation import jobs
from wardround_simulation.federation import (
    OWN_PARTS,
    START,
    WEIGHTS,
    Federation,
    Site,
    alone_study,
    draft_of,
    forget_hospitals,
    insecure_roster,
    ledger_folder,
    nodes,
    shared_study,
)
from wardround_simulation.grid import InProcessGrid
from wardround_simulation.jobs import Description
from wardround_simulation.workers import Broke, Died, Job, Workers

BOOTSTRAP = 1000
MATRIX_HOSPITALS = (
    12  # with more hospitals the cross-site matrix of alone models has no curves, which nobody could read
)


@dataclass(frozen=True)
class Progress:
    """How far a phase of the run is."""

    phase: str
    done: int
    total: int
    round: RoundRecord | None = None


LISTED_PAIRS = 10
"""Pairs of hospitals with near-identical images that are named, those with most first."""
Show = Callable[[Progress], None]
Engine = Literal["in-process", "flower"]


@dataclass(frozen=True)
class Plan:
    """What is to be simulated, and where it is kept."""

    study: Study
    sites: tuple[Site, ...]
    folder: Path
    resume: bool
    baselines: bool
    engine: Engine = "in-process"
    give_up: bool = False
    """Whether a round of secure sums that was begun and cannot be summed again is left out."""
    policy: Policy | None = None
    """Of every hospital, if there is one."""
    leave_one_out: bool = False
    """Whether a model is also trained without each hospital in turn, and judged there."""
    device: str = CPU
    """What trains: a word that ``devices.choose`` knows."""
    start: Path | None = None
    """The folder of the released model that the study starts from; not needed to resume."""
    ledgers: Path | None = None
    """The folder of an earlier run whose ledgers the hospitals continue: that which trained the model to start from."""
    weights: Path | None = None
    """The file of weights that the network begins with; not needed to resume."""


def simulate(plan: Plan, workers: Workers, show: Show) -> Results:
    """Simulate a federation and write its model, results and report into the plan's folder.

    Raises:
        DataError: a hospital's data cannot be used.
        DeviceError: the device that is to train is not here.
        RoundError: too few hospitals answered in a round.
        StorageError: the folder already has a run, or cannot be written; completed rounds are kept.
        StudyError: the study's tracking needs what is not installed, or its network does not run at its image size.
        PrivacyError: its network cannot be trained with privacy by patient.
    """
    started = datetime.now(UTC)
    forget_hospitals()  # of an earlier run in this process: images, labels, code and ledgers may be others by now
    released, weights = check_given(plan)
    check_hospitals(plan.study, plan.sites)
    _claim_folder(plan, released, weights)
    desks, ledgers = plan.folder / "secure" / "hospitals", plan.folder / "ledgers"
    draft, policy = draft_of(plan.study), plan.policy
    start = (plan.folder / START).resolve() if plan.study.model.start else None
    kept = (plan.folder / OWN_PARTS).resolve() if plan.study.training.keeps else None
    device = choose(plan.device)
    first = (plan.folder / WEIGHTS).resolve() if plan.study.model.weights else None
    federation = Federation(draft, plan.sites, desks.resolve(), ledgers.resolve(), policy, device, start, kept, first)
    names = [site.name for site in plan.sites]
    described = dict(_prepare(plan.study, federation, names, workers, show))
    _check_fingerprints(plan, {name: description.fingerprint for name, description in described.items()})
    shared = _compare(federation, names, workers, show)
    final = _train_federation(plan, federation, workers, _shows_epsilon(show, described, plan.study))
    model = final.chosen.model
    write_model(plan.folder / "model.safetensors", plan.study, final.layout, model, final.fixed)
    hospitals = tuple(_hospital_record(name, described[name], plan.study, len(final.history)) for name in names)
    rounds = tuple(_with_epsilon(record, described, plan.study) for record in final.history)
    said = (*_notes(plan, described, final), *_said_of_shared(shared))

    def write(
        evaluation: dict[str, dict[str, SiteMetrics]], waiting: Sequence[tuple[str, Others]], failed: Sequence[str] = ()
    ) -> Results:
        results = Results(
            run=plan.folder.name,
            study=plan.study,
            study_digest=plan.study.digest(),
            seed=plan.study.model.seed,
            versions=_versions(plan.engine),
            devices=tuple(sorted({description.device for description in described.values()})),
            engine=plan.engine,
            started=started,
            finished=datetime.now(UTC),
            hospitals=hospitals,
            rounds=rounds,
            kept_rounds=final.chosen.rounds,
            evaluation=evaluation,
            subgroups=subgroups,
            maps=maps,
            recalibrated=own,
            withheld=withheld,
            waiting=tuple(what for what, _ in waiting),
            notes=(*_said_of_waiting(waiting), *failed, *said),
        )
        write_report(results, plan.folder)
        return results

    def scored(models: dict[str, Vector], phase: str) -> dict[str, list[jobs.Judged]]:
        vectors = list(models.values())
        of = federation if FEDERATED in models else _sharing(federation)
        return dict(_all(workers, phase, names, lambda n: Job(jobs.score, (of, n, vectors), n), show))

    judged = scored({FEDERATED: model}, "scoring")
    evaluation = _judge(plan.study, [FEDERATED], names, judged)
    subgroups = _by_subgroup(plan.study, names, judged, next(iter(evaluation[FEDERATED].values())).threshold)
    own = _recalibrated(plan.study, federation, model, names, workers, show)
    withheld = _withheld(plan.study, federation, model, names, judged, evaluation[FEDERATED], workers, show)
    maps = _maps(plan.study, federation, model, names, workers, show)
    waiting = _others(plan)
    results = write(evaluation, waiting)
    diverged: list[str] = []
    while waiting:
        what, train = waiting[0]
        models = train(plan, federation, workers, show)
        waiting = waiting[1:]
        diverged += [name for name, vector in models.items() if vector is None]
        trained = {name: vector for name, vector in models.items() if vector is not None}
        if trained:
            evaluation |= _judge(plan.study, list(trained), names, scored(trained, f"scoring-{what}"))
        failed = [f"{name} has no numbers: its training diverged, or could not be done." for name in diverged]
        results = write(evaluation, waiting, failed)
    return results


def _sharing(federation: Federation) -> Federation:
    """Return the hospitals as those of whose models nothing is their own: as baselines are judged."""
    if federation.kept is None:
        return federation
    study = alone_study(shared_study(federation.study))
    return Federation(
        study,
        federation.sites,
        policy=federation.policy,
        device=federation.device,
        **federation.begins,
    )


Others = Callable[[Plan, Federation, Workers, Show], dict[str, Vector | None]]


def _others(plan: Plan) -> list[tuple[str, Others]]:
    """Name the phases in which other models are trained after the federation's, to be compared with it."""
    if len(_trainers(plan)) < 2:
        return []
    baselines: list[tuple[str, Others]] = [("baselines", _train_baselines)] if plan.baselines else []
    return [*baselines, *([("leaving-one-out", _train_without)] if plan.leave_one_out else [])]


_WAITING = {
    "baselines": "of each hospital alone and of all images pooled",
    "leaving-one-out": "that leave out each hospital in turn",
}


def _said_of_waiting(waiting: Sequence[tuple[str, Others]]) -> list[str]:
    """Say which models are still to be trained; nothing if none is."""
    if not waiting:
        return []
    which = " and those ".join(_WAITING[what] for what, _ in waiting)
    return [
        f"The models {which} are not there yet. They are trained next; if the run was interrupted, repeat its command "
        "with --resume."
    ]


def _trainers(plan: Plan) -> tuple[Site, ...]:
    return tuple(site for site in plan.sites if plan.study.trains(site.name))


def check_hospitals(study: Study, sites: Sequence[Site]) -> None:
    """Check that the hospitals that only evaluate are there, and enough that train.

    Raises:
        StudyError: one is not, or too few would train.
    """
    names = {site.name for site in sites}
    if missing := sorted(set(study.evaluation.external) - names):
        raise StudyError(
            f"[evaluation] external names {', '.join(missing)}, and the hospitals are {', '.join(sorted(names))}",
            do="Name the hospitals by their sub-folders; those of --pool are hospital-1, hospital-2 and so on.",
        )
    least, trainers = study.aggregation.min_hospitals, sum(study.trains(name) for name in names)
    if study.evaluation.external and not trainers:
        raise StudyError("[evaluation] external names every hospital: nobody would train", do="Leave some to train.")
    if trainers < least:
        raise StudyError(
            f"[aggregation] min_hospitals = {least}, and {trainers} of the {len(names)} hospitals here train",
            do="Lower it, or let more hospitals train.",
        )


def _prepare(
    study: Study, federation: Federation, names: Sequence[str], workers: Workers, show: Show
) -> Iterator[tuple[str, Description]]:
    """Try the study's network and prepare the hospitals, whose images other workers begin to read meanwhile."""
    show(Progress("rehearsing", 0, 1))
    tried = workers.submit(Job(rehearse, (study,), affinity=""))
    for name, result in _all(
        workers, "preparing", names, lambda name: Job(jobs.describe, (federation, name), name), show, {tried: ""}
    ):
        if name:
            yield name, result
        else:
            show(Progress("rehearsing", 1, 1))


def _compare(
    federation: Federation, names: Sequence[str], workers: Workers, show: Show
) -> dict[tuple[str, str], jobs.Shared]:
    """Compare the images of all hospitals with one another, by one worker."""
    if len(names) < 2:
        return {}
    job = Job(jobs.shared_images, (federation, names), names[0])
    ((_, shared),) = _all(workers, "comparing", ["all hospitals"], lambda _: job, show)
    return dict(shared)


def _all(
    workers: Workers,
    phase: str,
    names: Sequence[str],
    job: Callable[[str], Job],
    show: Show,
    before: Mapping[int, str] | None = None,
) -> Iterator[tuple[str, Any]]:
    """Do one job for each name; the first error ends the run.

    ``before``: names of jobs that were queued before by their numbers, whose results are given too and not counted.
    """
    name_of = {**(before or {}), **{workers.submit(job(name)): name for name in names}}
    show(Progress(phase, 0, len(names)))
    waiting, count = set(name_of), 0
    while waiting:
        for number, result in workers.done():
            waiting.remove(number)
            given = _sound(result, name_of[number] or "the study's network")  # which is tried for no hospital
            if number not in (before or {}):
                count += 1
                show(Progress(phase, count, len(names)))
            yield name_of[number], given


def _sound(result: Any, name: str) -> Any:
    if isinstance(result, WardroundError):
        raise result
    if isinstance(result, Broke):
        result.reraise()
    if isinstance(result, Died):
        raise RoundError(
            f"the process that worked for {name} {result.how()}",
            do="Run again with --resume; with fewer --workers it needs less memory."
            if result.killed
            else "If the study runs code of others, ask whoever wrote it.",
        )
    return result


def _check_ledgers(plan: Plan) -> None:
    """Check that the ledgers of a run that has completed rounds are there: another would say that nothing was spent.

    Raises:
        StorageError: one is gone.
    """
    for site in _trainers(plan):
        folder = ledger_folder(plan.folder / "ledgers", site.name)
        if not (folder / LEDGER_NAME).exists():
            raise StorageError(
                f"the ledger of {site.name} is gone, and this run has completed rounds",
                where=str(folder),
                do="Put the folder back as the run wrote it, or run the study again in another folder.",
            )


def check_given(plan: Plan) -> tuple[Released | None, bytes | None]:
    """Check what was given besides the hospitals, without a look at an image; return model and weights to begin with.

    Raises:
        StorageError: the folder already has a run, or none to resume; or what was named is not there.
        StudyError: the study's tracking needs what is not installed; or what it begins with was not given.
        ModelError: the weights do not fit the network.
        RoundError, DeviceError: Flower's engine is to run it, and cannot.
    """
    check_tracking(plan.study)
    released = None if plan.start is None else read_released(plan.start)
    _check_start(plan, released)
    weights = _check_weights(plan)
    if not _check_folder(plan) and plan.ledgers is not None:
        _check_before(plan, plan.ledgers)
    if plan.engine == "flower":
        from wardround_simulation.flower_engine import check_engine

        check_engine(choose(plan.device))
    return released, weights


def _check_start(plan: Plan, released: Released | None) -> None:
    """Check that the model to start from is there, and fits; a run that was begun has it.

    Raises:
        StudyError: it is not, or the study does not start from it.
    """
    start = plan.study.model.start
    if released is not None:
        check_start(plan.study, released, where=str(plan.start))
    elif start and not (plan.folder / START).exists():
        raise StudyError(
            f"the study starts from the model '{start.name}', which is not here",
            do="Give its folder: --start MODEL_FOLDER.",
        )
    elif start and hashlib.sha256(read_whole(plan.folder / START)).hexdigest() != start.model:
        raise StorageError(
            "this is not the model that the study starts from",
            where=str(plan.folder / START),
            do="Give its folder again: --start MODEL_FOLDER.",
        )


def _check_weights(plan: Plan) -> bytes | None:
    """Return the file of weights that the study names, and check that it fits; None where it names none.

    Raises:
        StudyError: it is not here, or not the study's.
        ModelError: it does not fit the network.
        StorageError: it cannot be read.
    """
    named, kept = plan.study.model.weights, plan.folder / WEIGHTS
    if named is None:
        if plan.weights is not None:
            raise StudyError("the study names no file of weights", do="Leave out --weights, or add [model.weights].")
        return None
    if plan.weights is None and not kept.exists():
        raise StudyError(
            f"the study's network begins with the file of weights '{named.name}', which is not here",
            do="Give it: --weights FILE.",
        )
    content = read_weights_file(plan.weights or kept)
    networks.build(plan.study, content)
    return content


def _continue_ledgers(plan: Plan) -> None:
    """Copy the ledgers of an earlier run, so that what it cost the same patients counts.

    Raises:
        StorageError: there are none, or they are signed with keys made from another seed.
    """
    if plan.ledgers is None:
        return
    before = _check_before(plan, plan.ledgers)
    mine = plan.folder / "ledgers"
    if mine.exists():  # of a run that was killed before it began: half of a copy, or a log of another database
        shutil.rmtree(mine)
    shutil.copytree(before, mine)


def _check_before(plan: Plan, ledgers: Path) -> Path:
    """Return where the ledgers of an earlier run are, and check that its hospitals can be these.

    Raises:
        StorageError: there are none, or they are signed with keys made from another seed.
    """
    before, study = ledgers / "ledgers", ledgers / "study.toml"
    if not before.is_dir() or not study.exists():
        raise StorageError(
            "there are no ledgers of a simulated run here",
            where=str(ledgers),
            do="Name the folder of the run that trained the model, such as runs/NAME.",
        )
    seed = read_study(study).model.seed
    if seed != plan.study.model.seed:
        raise StorageError(
            f"the ledgers of this run are signed with keys made from its seed, {seed}, and the study's is "
            f"{plan.study.model.seed}",
            where=str(ledgers),
            do=f"Give the study that seed: --seed {seed}.",
        )
    return before


def _check_folder(plan: Plan) -> bool:
    """Return whether the run was begun in its folder, and check that it may go on there, or begin.

    Raises:
        StorageError: there is a run, or none to resume; or it is of another study.
    """
    checkpoint = plan.folder / "checkpoint"
    begun = checkpoint.exists() or (plan.folder / "run.json").exists()
    if begun and not plan.resume:
        raise StorageError(
            "this folder already holds a run",
            where=str(plan.folder),
            do="Continue with --resume, or name another folder with --out.",
        )
    if not begun and plan.resume:
        raise StorageError(
            "there is no run to resume",
            where=str(plan.folder),
            do="Run without --resume, or name its folder with --out.",
        )
    if begun:
        _check_study(plan)
        if checkpoint.exists():
            _check_ledgers(plan)
    return begun


def _claim_folder(plan: Plan, released: Released | None, weights: bytes | None) -> None:
    if _check_folder(plan):
        return
    _continue_ledgers(plan)
    if released is not None:
        write_atomically(plan.folder / START, released.content)
    if weights is not None:
        write_atomically(plan.folder / WEIGHTS, weights)
    text = tomli_w.dumps(plan.study.tables(nulls=False))
    write_atomically(plan.folder / "study.toml", text.encode())


def _check_study(plan: Plan) -> None:
    path = plan.folder / "run.json"
    if path.exists() and _begun(path)["study"] != plan.study.digest():
        raise StorageError(
            "the run in this folder is of another study or seed: the study digest differs",
            where=str(plan.folder),
            do="Use the study file and the seed that the run began with, or another folder with --out.",
        )


def _begun(path: Path) -> dict[str, Any]:
    """Read which study and data a run began with.

    Raises:
        StorageError: the file cannot be read, or says something else.
    """
    try:
        found = json.loads(read_whole(path))
        if isinstance(found["study"], str) and isinstance(found["hospitals"], dict):
            return dict(found)
    except (ValueError, KeyError, TypeError):
        pass
    raise StorageError(
        "this does not say which study and data the run began with",
        where=str(path),
        do="Put it back as the run wrote it, or start again with another --out.",
    )


def _check_fingerprints(plan: Plan, fingerprints: dict[str, str]) -> None:
    path = plan.folder / "run.json"
    now = {"study": plan.study.digest(), "hospitals": fingerprints}
    if not path.exists():
        write_atomically(path, json.dumps(now, indent=1).encode())
        return
    before = _begun(path)["hospitals"]
    if before != fingerprints:
        changed = sorted(n for n in {*before, *fingerprints} if before.get(n) != fingerprints.get(n))
        raise StorageError(
            f"since the run began the data changed at: {', '.join(changed)}",
            where=str(plan.folder),
            do="Use the same hospitals with the same images and labels, or start again with another --out.",
        )


def _train_federation(plan: Plan, federation: Federation, workers: Workers, show: Show) -> State:
    checkpoint = plan.folder / "checkpoint"
    before = read_checkpoint(checkpoint, plan.study) if checkpoint.exists() else None
    names = nodes([site.name for site in plan.sites])
    rounds = plan.study.training.rounds
    show(Progress("training", len(before.history) if before else 0, rounds, before.history[-1] if before else None))

    def watch(event: Event) -> None:
        if isinstance(event, RoundEnds):
            write_checkpoint(checkpoint, plan.study, event.state)
            tracking.follow(event.state.history)
            show(Progress("training", event.record.number, rounds, event.record))

    outcome: list[State] = []
    consortium = None
    if plan.study.aggregation.secure:
        kept = plan.folder / "secure" / "coordinator"
        consortium = open_consortium(kept, insecure_roster(federation), give_up=plan.give_up)

    def drive(exchange: Exchange) -> None:
        outcome.append(run_study(federation.study, exchange, watch, before, consortium, start=federation.first_model()))
        describe_usual(federation.study, exchange, outcome[0], plan.folder / UNLIKE, consortium)

    with open_tracking(plan.study, plan.folder) as tracking:
        tracking.follow(before.history if before else ())
        if plan.engine == "flower":
            from wardround_simulation.flower_engine import run_with_flower

            run_with_flower(federation, drive, workers.count)
        else:
            app = server_app(drive, lambda grid: names)
            app(InProcessGrid(federation, names, workers), Context(1, 1, {}, RecordDict(), {}))
    return outcome[0]


def _shows_epsilon(show: Show, described: dict[str, Description], study: Study) -> Show:
    def shown(progress: Progress) -> None:
        record = progress.round and _with_epsilon(progress.round, described, study)
        show(replace(progress, round=record))

    return shown


def _with_epsilon(record: RoundRecord, described: dict[str, Description], study: Study) -> RoundRecord:
    """Fill in what a coordinator of secure sums is not told: the epsilon of each hospital, which its plan gives.

    Only for rounds after which the model was judged: an accountant takes half a second for each.
    """
    if not study.aggregation.secure or not study.judges(record.number):
        return record
    plans = {name: described[name].privacy for name in record.answered}
    epsilons = {
        name: epsilon_of(_events(plan, plan.steps // study.training.rounds * record.number), plan.delta)
        for name, plan in plans.items()
        if plan
    }
    return record.model_copy(update={"epsilons": epsilons})


def _train_baselines(plan: Plan, federation: Federation, workers: Workers, show: Show) -> dict[str, Vector | None]:
    """Train each hospital alone, and one model on all patients together, by the same rounds; None: it diverged."""
    sites = _trainers(plan)
    everybody = Site(POOLED, tuple(source for site in sites for source in site.sources))
    study = alone_study(shared_study(federation.study))
    wider = Federation(study, (*sites, everybody), device=federation.device, **federation.begins)
    # The pooled one takes longest, so it starts first.
    order = [POOLED, *(site.name for site in sites), *([SHARED] if federation.kept else [])]

    def job(name: str) -> Job:
        if name == SHARED:
            return Job(jobs.train_shared, (replace(federation, sites=sites), plan.folder / SHARED), affinity=name)
        kept = plan.folder / "baselines" / f"{order.index(name)}.checkpoint"
        return Job(jobs.train_baseline, (wider, name, kept), affinity=name)

    trained = dict(_all(workers, "baselines", order, job, show))
    shared = {SHARED: trained[SHARED]} if federation.kept else {}
    return shared | {POOLED: trained[POOLED]} | {alone(site.name): trained[site.name] for site in sites}


def _train_without(plan: Plan, federation: Federation, workers: Workers, show: Show) -> dict[str, Vector | None]:
    """Train a model without each hospital in turn, by the same rounds; those that only evaluate are in none."""
    names = [site.name for site in _trainers(plan)]
    federation = replace(federation, study=shared_study(federation.study), sites=_trainers(plan), kept=None)

    def job(name: str) -> Job:
        folder = plan.folder / "leave-one-out" / f"{names.index(name)}"
        return Job(jobs.train_without, (federation, name, folder), affinity=without(name))

    trained = dict(_all(workers, "leaving-one-out", names, job, show))
    return {without(name): trained[name] for name in names}


def _judge(
    study: Study, models: Sequence[str], names: Sequence[str], judged: dict[str, list[jobs.Judged]]
) -> dict[str, dict[str, SiteMetrics]]:
    """Judge each model on each hospital's test patients and on all of them, at its own operating point."""
    evaluation: dict[str, dict[str, SiteMetrics]] = {}
    task, section = task_of(study.task), study.task
    for place, model in enumerate(models):
        trained = [name for name in names if study.trains(name)]
        asked = [name for name in trained if model != without(name)]  # who did not train does not choose either
        validation = sum((judged[name][place].validation for name in asked[1:]), judged[asked[0]][place].validation)
        tests = {name: judged[name][place].test for name in names}
        groups = {ALL: names}
        if len(trained) < len(names):
            groups |= {TRAINED: trained, EXTERNAL: [name for name in names if name not in trained]}
        if len(names) > 1 and len(asked) == len(trained):
            tests |= {group: functools.reduce(operator.add, (tests[n] for n in of)) for group, of in groups.items()}
        point = task.point(task.read(validation, section), study.evaluation.sensitivity)
        detail = model in (FEDERATED, POOLED, SHARED) or len(names) <= MATRIX_HOSPITALS
        resamples = BOOTSTRAP if detail else 0
        rng = np.random.default_rng(study.model.seed)
        evaluation[model] = {
            name: evaluate(section, sums, point, resamples=resamples, rng=rng, detail=detail)
            for name, sums in tests.items()
        }
    return evaluation


def _by_subgroup(
    study: Study, names: Sequence[str], judged: dict[str, list[jobs.Judged]], point: Point | None
) -> tuple[Subgrouping, ...]:
    """Judge the federated model on the subgroups of all hospitals together, with intervals over patients."""
    groups: list[list[tuple[int, PatientSums]]] = []
    for at, subgroups in enumerate(study.evaluation.subgroups):
        cells = [
            functools.reduce(operator.add, (judged[name][0].subgroups[at][cell] for name in names))
            for cell in range(len(subgroups.cells))
        ]
        groups.append([(cell.patients, cell) for cell in cells])
    return judge_by_subgroup(study, groups, point, resamples=BOOTSTRAP, seed=study.model.seed) if groups else ()


def _recalibrated(
    study: Study, federation: Federation, kept: Vector, names: Sequence[str], workers: Workers, show: Show
) -> dict[str, Recalibrated]:
    """Let each hospital recalibrate the model for itself: here it costs nothing but a moment, whether asked or not."""
    if study.task.name != "classification" or (len(names) > MATRIX_HOSPITALS and not study.evaluation.recalibrated):
        return {}
    task = task_of(study.task)
    told: dict[str, tuple[NDArray[np.int64], bool]] = dict(
        _all(workers, "recalibrating", names, lambda n: Job(jobs.recalibrate, (federation, n, kept), n), show)
    )
    sums = {name: task.read(told[name][0], study.task) for name in names}
    of = {name: recalibrated(study.task, sums[name], told[name][1]) for name in names}
    if len(names) > 1:
        of[ALL] = recalibrated(study.task, functools.reduce(operator.add, sums.values()), None)
    return of


def _withheld(
    study: Study,
    federation: Federation,
    kept: Vector,
    names: Sequence[str],
    judged: dict[str, list[jobs.Judged]],
    sites: Mapping[str, SiteMetrics],
    workers: Workers,
    show: Show,
) -> dict[str, tuple[Withheld, ...]]:
    """Judge the model without each input that may be missing, at each hospital and at all of them together."""
    if not study.data.told or (len(names) > MATRIX_HOSPITALS and not study.evaluation.withheld):
        return {}
    told: dict[str, list[tuple[int, PatientSums]]] = dict(
        _all(workers, "withholding", names, lambda n: Job(jobs.withhold, (federation, n, kept), n), show)
    )
    whole = {name: judged[name][0].test for name in names}
    if len(names) > 1:
        whole[ALL] = functools.reduce(operator.add, (whole[name] for name in names))
        each = zip(*(told[name] for name in names), strict=True)
        told[ALL] = [
            (sum(known for known, _ in one), functools.reduce(operator.add, (sums for _, sums in one))) for one in each
        ]
    return {
        name: figures_of_withheld(study, whole[name], told[name], sites[name].threshold, resamples=BOOTSTRAP)
        for name in whole
    }


def _maps(
    study: Study, federation: Federation, kept: Vector, names: Sequence[str], workers: Workers, show: Show
) -> MapFigures | None:
    """Let each hospital sum up how much of the model's maps lies in lesions; None where the study does not ask."""
    if study.evaluation.maps is None:
        return None
    cells: dict[str, MapCell] = dict(
        _all(workers, "explaining", names, lambda n: Job(jobs.explain, (federation, n, kept), n), show)
    )
    by_name = {name: cells[name] for name in names}
    return figures_of_maps(study, functools.reduce(operator.add, by_name.values()), by_name)


def _hospital_record(name: str, description: Description, study: Study, rounds: int) -> HospitalRecord:
    return HospitalRecord(
        name=name,
        train=description.train,
        validation=description.validation,
        test=description.test,
        scanners=description.intake.scanners,
        privacy=_spent(description.privacy, study, rounds),
    )


def _spent(planned: PrivacySpent | None, study: Study, rounds: int) -> PrivacySpent | None:
    """Return what a number of rounds cost; a study that ended early cost less than was planned."""
    if planned is None or rounds == study.training.rounds:
        return planned
    steps = planned.steps // study.training.rounds * rounds
    return planned.model_copy(update={"epsilon": epsilon_of(_events(planned, steps), planned.delta), "steps": steps})


def _events(planned: PrivacySpent, steps: int) -> list[SampledGaussian]:
    """Return a number of steps, and the sum before them if there is one, for the accountant."""
    events = [SampledGaussian(planned.noise_multiplier, planned.sampling_rate, steps)]
    if planned.noise_before is not None:
        events.append(SampledGaussian(planned.noise_before, 1.0, 1))
    return events


def _has_usual(plan: Plan) -> bool:
    found = read_summed(plan.folder / UNLIKE)
    return found is not None and bool(found.histogram)


def _notes(plan: Plan, described: dict[str, Description], final: State) -> Iterator[str]:
    if isinstance(plan.study.privacy, DpSgd):
        if plan.study.privacy.trust == "distributed":
            yield (
                "Each hospital added its share of the noise. Epsilon holds against anyone who reads the sums over "
                "hospitals and the models; it rests on the secure sums, and does not hold for one hospital's sum by "
                "itself. The sums by which the model was judged have no noise."
            )
        yield (
            "This is a simulation: its noise was made from the seed, so that the run can be repeated. Epsilon says "
            "what the same study costs where hospitals draw secret noise; this model protects nobody's privacy."
        )
    else:
        yield "Differential privacy was off: the model may remember patients."
    yield from _said_of_start(plan, described)
    yield from sorted({site.said_of_cut for site in plan.sites if site.said_of_cut})
    if counted := final.classes:
        yield said_of_classes(plan.study, counted.counts, counted.weights())
    yield from said_of_intensities(plan.study, final.layout, final.chosen.model)
    if own := said_of_own_parts(plan.study, simulated=True):
        yield own
    yield from said_of_own_code(plan.study)
    yield from said_of_plugins(plan.study)
    yield from said_of_graph(plan.study, len(plan.sites))
    if plan.study.evaluation.usual and not _has_usual(plan):
        yield NOT_USUAL
    if plan.study.roster:
        yield (
            "The study's roster was not used: its hospitals' private keys are not here. The simulated hospitals have "
            "keys made from the seed, which protect nobody."
        )
    for name, description in described.items():
        intake = description.intake
        if intake.refused:
            counts = ", ".join(f"{count} {reason}" for reason, count in sorted(intake.refused.items()))
            yield f"{name}: {sum(intake.refused.values())} files were refused ({counts})."
        if intake.left_out:
            counts = ", ".join(f"{count} {reason}" for reason, count in sorted(intake.left_out.items()))
            yield f"{name}: {sum(intake.left_out.values())} images were left out ({counts})."
        if guessed(intake.patients):
            how = said_of_patients(intake.patients, intake.confirmed)
            yield f"{name}: some patients are guessed, since their files name none ({how})."
        for doubt in said_of_doubts(intake.doubts):
            yield f"{name}: {doubt}."
        if intake.allowed:
            yield f"{name}: the scan was told to allow {', '.join(sorted(intake.allowed))}."
        if intake.duplicates_across_splits:
            yield (
                f"{name}: {intake.duplicates_across_splits} pairs of near-identical images stand on two sides of the "
                "split of patients; its test numbers may be too good."
            )
        if intake.joined_patients:
            yield (
                f"{name}: {intake.joined_patients} patients share near-identical images with another patient; they "
                "were kept on one side of the split."
            )
        if intake.labels_disagree:
            yield (
                f"{name}: labels disagree in {intake.labels_disagree} pairs of near-identical images; "
                "'wardround scan FOLDER' shows them."
            )
        for split in ("train", "validation", "test"):
            counts = getattr(description, split).per_class
            if getattr(description, split).images and len(counts) > 1 and sum(count > 0 for count in counts) < 2:
                yield f"{name}: its {split} patients have one class only; what needs two is not computed there."
    for record in final.history:
        if not record.answered:
            yield (
                f"Round {record.number} was given up: it could not be summed again after an interruption. The model "
                "stayed as it was, and what the round cost in privacy is spent."
            )
    yield from (f"{why[0].upper()}{why[1:]}." for why in refusals(final.history))
    absent = {absence.hospital for record in final.history for absence in record.absent}
    for name in sorted(absent):
        rounds = [record.number for record in final.history if any(a.hospital == name for a in record.absent)]
        yield f"{name} did not answer in {len(rounds)} of {len(final.history)} rounds (first in round {rounds[0]})."


def _said_of_start(plan: Plan, described: dict[str, Description]) -> Iterator[str]:
    """Say from which model the study started and what its training cost whom; nothing if from what the seed gives."""
    start = plan.study.model.start
    if start is None:
        return
    yield (
        f"The study started from the released model '{start.name}' (SHA-256 {start.model}), and so did every model "
        "that it is compared with. A hospital that trained that model is not new to the models that leave it out."
    )
    before = study_of(read_whole(plan.folder / START), where=str(plan.folder / START))
    if differs := list(prepared_otherwise(plan.study, before)):
        yield f"Images are prepared otherwise than for the model that the study starts from: {'; '.join(differs)}."
    if not isinstance(plan.study.privacy, DpSgd):
        return
    found = {name: each.lineage for name, each in described.items() if each.lineage}
    if not any(each.patients for each in found.values()):
        yield (
            "The ledgers of this simulation do not hold what the training of that model cost: they began empty. "
            "Begin with --ledgers RUN to continue those of the run that trained it."
        )
        return
    for name, each in found.items():
        yield from (f"{name}: {sentence[0].lower()}{sentence[1:]}" for sentence in each.sentences())


def _said_of_shared(shared: dict[tuple[str, str], jobs.Shared]) -> Iterator[str]:
    most_first = sorted(shared.items(), key=lambda item: -item[1].pairs)
    for (one, other), found in most_first[:LISTED_PAIRS]:
        disagree = f"; labels disagree in {found.labels_disagree} of them" if found.labels_disagree else ""
        yield (
            f"{one} and {other} share {found.pairs} pairs of near-identical images{disagree}. Each hospital splits its "
            "own patients, so one half may be trained on and the other tested on: test numbers may be too good."
        )
    if len(most_first) > LISTED_PAIRS:
        yield f"{len(most_first) - LISTED_PAIRS} more pairs of hospitals share near-identical images."


def _versions(engine: str) -> dict[str, str]:
    packages = ["wardround", "flwr", "torch", "opacus", "monai", "pydicom", "numpy"] + (
        ["ray"] if engine == "flower" else []
    )
    return {package: importlib.metadata.version(package) for package in packages}
