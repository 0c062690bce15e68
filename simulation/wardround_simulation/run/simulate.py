"""A whole simulated run: prepare, rounds, baselines, scores, report; every part can be stopped and resumed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from flwr.app import Context, RecordDict

from wardround_client.training.accounting import SampledGaussian, epsilon_of
from wardround_client.training.devices import choose
from wardround_client.training.rehearsal import rehearse
from wardround_common.messages.parameters import Vector
from wardround_common.results import FEDERATED, HospitalRecord, PrivacySpent, Results, RoundRecord, SiteMetrics
from wardround_common.results.unlike import UNLIKE
from wardround_common.study.file import Study
from wardround_server.report import write_report
from wardround_server.report.tracking import open_tracking
from wardround_server.rounds.app import server_app
from wardround_server.rounds.checkpoint import read_checkpoint, write_checkpoint
from wardround_server.rounds.course import Event, RoundEnds, State, describe_usual, run_study
from wardround_server.rounds.exchange import Exchange
from wardround_server.rounds.model_file import write_model
from wardround_server.rounds.secure_rounds import open_consortium
from wardround_simulation import jobs
from wardround_simulation.federation import (
    OWN_PARTS,
    START,
    WEIGHTS,
    Federation,
    draft_of,
    forget_hospitals,
    insecure_roster,
    nodes,
)
from wardround_simulation.grid import InProcessGrid
from wardround_simulation.jobs import Description
from wardround_simulation.run.baselines import Others, others_of, said_of_waiting, sharing
from wardround_simulation.run.folder import check_fingerprints, check_given, claim_folder
from wardround_simulation.run.judging import (
    by_subgroup,
    judge,
    mapped,
    recalibrated_by,
    said_of_noised_test,
    without_inputs,
)
from wardround_simulation.run.notes import notes_of, said_of_shared
from wardround_simulation.run.phases import work_through
from wardround_simulation.run.plan import Plan, Progress, Show, check_hospitals
from wardround_simulation.workers import Job, Workers


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
    claim_folder(plan, released, weights)
    desks, ledgers = plan.folder / "secure" / "hospitals", plan.folder / "ledgers"
    draft, policy = draft_of(plan.study), plan.policy
    start = (plan.folder / START).resolve() if plan.study.model.start else None
    kept = (plan.folder / OWN_PARTS).resolve() if plan.study.training.keeps else None
    device = choose(plan.device)
    first = (plan.folder / WEIGHTS).resolve() if plan.study.model.weights else None
    federation = Federation(draft, plan.sites, desks.resolve(), ledgers.resolve(), policy, device, start, kept, first)
    names = [site.name for site in plan.sites]
    described = dict(_prepare(plan.study, federation, names, workers, show))
    check_fingerprints(plan, {name: description.fingerprint for name, description in described.items()})
    shared = _compare(federation, names, workers, show)
    final = _train_federation(plan, federation, workers, _shows_epsilon(show, described, plan.study))
    model = final.chosen.model
    write_model(plan.folder / "model.safetensors", plan.study, final.layout, model, final.fixed)
    hospitals = tuple(_hospital_record(name, described[name], plan.study, len(final.history)) for name in names)
    rounds = tuple(_with_epsilon(record, described, plan.study) for record in final.history)
    said: tuple[str, ...] = (*notes_of(plan, described, final), *said_of_shared(shared))

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
            notes=(*said_of_waiting(waiting), *failed, *said),
        )
        write_report(results, plan.folder)
        return results

    def scored(models: dict[str, Vector], phase: str) -> dict[str, list[jobs.Judged]]:
        vectors = list(models.values())
        of = federation if FEDERATED in models else sharing(federation)
        return dict(work_through(workers, phase, names, lambda n: Job(jobs.score, (of, n, vectors), n), show))

    judged = scored({FEDERATED: model}, "scoring")
    chosen = final.chosen.validation if plan.study.noised else None
    evaluation = judge(plan.study, [FEDERATED], names, judged, chosen)
    said += tuple(said_of_noised_test(plan.study, names, judged, evaluation[FEDERATED]))
    subgroups = by_subgroup(plan.study, names, judged, next(iter(evaluation[FEDERATED].values())).threshold)
    own = recalibrated_by(plan.study, federation, model, names, workers, show)
    withheld = without_inputs(plan.study, federation, model, names, judged, evaluation[FEDERATED], workers, show)
    maps = mapped(plan.study, federation, model, names, workers, show)
    waiting = others_of(plan)
    results = write(evaluation, waiting)
    diverged: list[str] = []
    while waiting:
        what, train = waiting[0]
        models = train(plan, federation, workers, show)
        waiting = waiting[1:]
        diverged += [name for name, vector in models.items() if vector is None]
        trained = {name: vector for name, vector in models.items() if vector is not None}
        if trained:
            evaluation |= judge(plan.study, list(trained), names, scored(trained, f"scoring-{what}"))
        failed = [f"{name} has no numbers: its training diverged, or could not be done." for name in diverged]
        results = write(evaluation, waiting, failed)
    return results


def _prepare(
    study: Study, federation: Federation, names: Sequence[str], workers: Workers, show: Show
) -> Iterator[tuple[str, Description]]:
    """Try the study's network and prepare the hospitals, whose images other workers begin to read meanwhile."""
    show(Progress("rehearsing", 0, 1))
    tried = workers.submit(Job(rehearse, (study,), affinity=""))
    for name, result in work_through(
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
    ((_, shared),) = work_through(workers, "comparing", ["all hospitals"], lambda _: job, show)
    return dict(shared)


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


def _versions(engine: str) -> dict[str, str]:
    packages = ["wardround", "flwr", "torch", "opacus", "monai", "pydicom", "numpy"] + (
        ["ray"] if engine == "flower" else []
    )
    return {package: importlib.metadata.version(package) for package in packages}
