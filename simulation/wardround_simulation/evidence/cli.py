"""``wardround evidence``: RUN makes a pack, ``verify`` checks one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from wardround_client.commands.format_option import Formats
from wardround_common.counting import count
from wardround_common.shell.command_options import Allow, ConfirmPatients, ImageState, LabelAttribute, LabelsInEach
from wardround_common.shell.commands import Commands, ShowByDefault
from wardround_simulation.cli import WorkerCount

if TYPE_CHECKING:  # help comes without what a command needs
    from rich.console import Console

    from wardround_simulation.evidence.verify import Verified


class MakesByDefault(ShowByDefault):
    """``wardround evidence RUN`` is short for ``wardround evidence make RUN``."""

    DEFAULT: ClassVar[str] = "make"


app = Commands("Make the evidence pack of a finished run, or verify one.", cls=MakesByDefault)


@app.command()
def make(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.", show_default=False)],
    hospitals: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the run's hospitals, for membership inference; by default RUN/hospitals if it exists.",
            show_default=False,
        ),
    ] = None,
    state: ImageState = None,
    labels: LabelsInEach = "",
    label_attribute: LabelAttribute = None,
    allow: Allow = None,
    formats: Formats = None,
    confirm_patients: ConfirmPatients = None,
    shadows: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            metavar="N",
            help="Number of shadow federations for membership inference, 4 or more, each trained as long as the run; "
            "0 leaves it out.",
        ),
    ] = 8,
    canaries: Annotated[
        int, typer.Option(min=20, max=20_000, metavar="N", help="Number of canaries in the canary audit.")
    ] = 2000,
    workers: WorkerCount = None,
) -> None:
    """Attack a finished run and write its evidence pack: RUN/evidence/evidence.json and evidence.html."""
    from rich.console import Console

    from wardround_common.shell.stopping import NOTHING_KEPT, stopped_with
    from wardround_simulation.evidence.attack_display import AttackDisplay
    from wardround_simulation.evidence.finished_run import read_run
    from wardround_simulation.evidence.make import FOLDER, Wanted, make_evidence
    from wardround_simulation.places import Places, sites_in
    from wardround_simulation.workers import start_workers

    finished = read_run(run)
    if hospitals is None and (run / "hospitals").is_dir():
        hospitals, state = run / "hospitals", state or (run / "state" if (run / "state").is_dir() else None)
    places = Places(labels or None, label_attribute, frozenset(allow or ()), state, frozenset(confirm_patients or ()))
    wanted = Wanted(None if hospitals is None else sites_in(hospitals, places), shadows, canaries)
    crew = start_workers(workers or len(os.sched_getaffinity(0)))
    try:
        with stopped_with(lambda: NOTHING_KEPT), AttackDisplay() as show:
            evidence = make_evidence(finished, wanted, crew, show)
    finally:
        crew.close()
    out = Console()
    found, members = evidence.attacks.canaries, evidence.attacks.membership
    if found:
        out.print(f"Canary audit: ε is at least {found.epsilon_at_least:.2f}; claimed is {found.claimed_epsilon:.2f}.")
    if members and members.auroc.value is not None:
        out.print(f"Membership inference: AUROC {members.auroc.value:.3f}; 0.5 is guessing.")
    for words in evidence.attacks.not_done:
        out.print(f"Not done. {words}")
    out.print(f"Evidence: {run / FOLDER / 'evidence.html'}", soft_wrap=True)


@app.command()
def verify(
    place: Annotated[
        Path, typer.Argument(metavar="FOLDER|FILE", help="Evidence pack, or its evidence.json.", show_default=False)
    ],
) -> None:
    """Check an evidence pack: the digest of each file, and each hospital's signed statement."""
    from rich.console import Console

    from wardround_simulation.evidence.verify import verify as check

    found = check(place)
    out = Console(highlight=False, markup=False)
    out.print(
        f"{count(found.files, 'file is one', 'files are those')} that the evidence of “{found.evidence.run}” speaks "
        f"of; study digest {found.evidence.study_digest}. The pack is not signed.",
        soft_wrap=True,
    )
    if found.evidence.deployed:
        _say_deployed(out, found)
        return
    if not found.statements:
        out.print("It has no statements of hospitals: the run had no ledgers.")
        return
    out.print(
        f"{count(found.statements, 'statement of a hospital is', 'statements of hospitals are')} of this study and "
        "signed with these keys. In a simulation anybody could have signed.",
        soft_wrap=True,
    )
    for one in found.evidence.roster:
        out.print(f"  {one.fingerprint}  {one.name}", soft_wrap=True)


def _say_deployed(out: Console, found: Verified) -> None:
    out.print(
        f"{count(found.approvals, 'hospital')} approved the study, and {count(found.statements, 'states', 'state')} "
        "what it cost, each signed with its key in the study’s roster. Compare the fingerprints with the hospitals’ "
        "own, by telephone:",
        soft_wrap=True,
    )
    for one in found.evidence.roster:
        out.print(f"  {one.fingerprint}  {one.name}", soft_wrap=True)
