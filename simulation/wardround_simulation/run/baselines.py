"""The models that the federation's is compared with: each hospital alone, all images pooled, one hospital left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from wardround_common.messages.parameters import Vector
from wardround_common.results import POOLED, SHARED, alone, without
from wardround_simulation import jobs
from wardround_simulation.federation import Federation, Site, alone_study, shared_study
from wardround_simulation.run.phases import work_through
from wardround_simulation.run.plan import Plan, Show
from wardround_simulation.workers import Job, Workers

Others = Callable[[Plan, Federation, Workers, Show], dict[str, Vector | None]]


def others_of(plan: Plan) -> list[tuple[str, Others]]:
    """Name the phases in which other models are trained after the federation's, to be compared with it."""
    if len(plan.trainers) < 2:
        return []
    baselines: list[tuple[str, Others]] = [("baselines", _train_baselines)] if plan.baselines else []
    return [*baselines, *([("leaving-one-out", _train_without)] if plan.leave_one_out else [])]


_WAITING = {
    "baselines": "of each hospital alone and of all images pooled",
    "leaving-one-out": "that leave out each hospital in turn",
}


def said_of_waiting(waiting: Sequence[tuple[str, Others]]) -> list[str]:
    """Say which models are still to be trained; nothing if none is."""
    if not waiting:
        return []
    which = " and those ".join(_WAITING[what] for what, _ in waiting)
    return [
        f"The models {which} are not there yet. They are trained next; if the run was interrupted, repeat its command "
        "with --resume."
    ]


def sharing(federation: Federation) -> Federation:
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


def _train_baselines(plan: Plan, federation: Federation, workers: Workers, show: Show) -> dict[str, Vector | None]:
    """Train each hospital alone, and one model on all patients together, by the same rounds; None: it diverged."""
    sites = plan.trainers
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

    trained = dict(work_through(workers, "baselines", order, job, show))
    shared = {SHARED: trained[SHARED]} if federation.kept else {}
    return shared | {POOLED: trained[POOLED]} | {alone(site.name): trained[site.name] for site in sites}


def _train_without(plan: Plan, federation: Federation, workers: Workers, show: Show) -> dict[str, Vector | None]:
    """Train a model without each hospital in turn, by the same rounds; those that only evaluate are in none."""
    names = [site.name for site in plan.trainers]
    federation = replace(federation, study=shared_study(federation.study), sites=plan.trainers, kept=None)

    def job(name: str) -> Job:
        folder = plan.folder / "leave-one-out" / f"{names.index(name)}"
        return Job(jobs.train_without, (federation, name, folder), affinity=without(name))

    trained = dict(work_through(workers, "leaving-one-out", names, job, show))
    return {without(name): trained[name] for name in names}
