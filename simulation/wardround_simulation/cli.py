"""``wardround simulate``, ``demo`` and ``export``: a federation on one machine, and its model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wardround_client.commands.format_option import Formats
from wardround_common.errors import RoundError
from wardround_common.shell.command_options import (
    Allow,
    CardWordsFile,
    ConfirmPatients,
    Device,
    ImageState,
    LabelAttribute,
    LabelsInEach,
    PublicRelease,
    StudyFile,
)
from wardround_simulation.door import participants
from wardround_simulation.run.begun import is_begun

if TYPE_CHECKING:  # torch takes two seconds to import: help, and an error in the study file, come without it
    from wardround_simulation.door.outcome import Results

Engine = Literal["in-process", "flower"]

WorkerCount = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Number of training processes; by default one per core, or one on a card.",
        show_default=False,
    ),
]
HospitalsDir = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder with one sub-folder per hospital.", show_default=False)
]
PoolDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Single folder to split into hospitals, by patient.", show_default=False),
]
Split = Annotated[
    int | None, typer.Option(metavar="N", help="Number of hospitals to split --pool into.", show_default=False)
]
PartitionHow = Annotated[
    str, typer.Option(metavar="HOW", help="Way to split --pool: iid, dirichlet:ALPHA or by:KEYWORD.")
]


def simulate(
    study: StudyFile,
    hospitals: HospitalsDir = None,
    pool: PoolDir = None,
    split: Split = None,
    partition: PartitionHow = "iid",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Use another value for a study key, e.g. training.rounds=5; repeatable.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, metavar="N", help="Seed to use instead of the study's.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the run; by default runs/NAME.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last completed round.")] = False,
    give_up: Annotated[
        bool,
        typer.Option(
            "--give-up", help="With --resume: skip a round that can no longer be summed; its cost still counts."
        ),
    ] = False,
    workers: WorkerCount = None,
    device: Device = "auto",
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines/--no-baselines", help="Also train on each hospital's data alone, and on all data pooled."
        ),
    ] = True,
    leave_one_out: Annotated[
        bool,
        typer.Option("--leave-one-out", help="Also train without each hospital in turn, and judge the model there."),
    ] = False,
    labels: LabelsInEach = "",
    label_attribute: LabelAttribute = None,
    allow: Allow = None,
    formats: Formats = None,
    confirm_patients: ConfirmPatients = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Folder of the released model that the study starts from; a resumed run has it.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of weights that the study's network begins with; a resumed run has it.",
            show_default=False,
        ),
    ] = None,
    ledgers: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Run that trained that model: its hospitals continue their ledgers.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(help="Engine to run on; flower is Flower's own, on Ray, for runs that outgrow one machine."),
    ] = "in-process",
    state: ImageState = None,
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Policy for every hospital, as written by 'wardround hospital policy new'."),
    ] = None,
) -> None:
    """Simulate a federation on this machine, with the code that hospitals and coordinator run.

    You can interrupt a run at any time; run the same command with --resume to continue.
    """
    from wardround_common.study.file import read_study
    from wardround_common.study.settings import parse_settings
    from wardround_simulation.door.simulating import simulate as run

    if give_up and not resume:
        raise typer.BadParameter("a new run has no round to give up: add --resume", param_hint="--give-up")
    parsed = read_study(study, parse_settings(settings or ()))
    if seed is not None:
        parsed = parsed.model_copy(update={"model": parsed.model.model_copy(update={"seed": seed})})
    folder = out or Path("runs") / parsed.study.name
    with told(folder):
        results = run(
            parsed,
            hospitals_from(hospitals, pool, split, partition),
            out=folder,
            resume=resume,
            give_up=give_up,
            workers=workers,
            device=device,
            baselines=baselines,
            leave_one_out=leave_one_out,
            labels=labels,
            label_attribute=label_attribute,
            allow=allow or (),
            confirm_patients=confirm_patients or (),
            engine=engine,
            state=state,
            policy=policy,
            start=start,
            weights=weights,
            ledgers=ledgers,
        )
    _show(results)


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the hospitals and the run.")] = Path("runs/demo"),
    workers: WorkerCount = None,
    device: Device = "auto",
) -> None:
    """Make four synthetic hospitals, train one model across them with differential privacy, and write a report.

    Run the same command again after an interruption to continue.
    """
    from rich.console import Console

    from wardround_client.training.devices import choose
    from wardround_simulation.demo import demo_study, make_demo_hospitals
    from wardround_simulation.door.simulating import simulate as run

    choose(device)  # one that is not here is said before hospitals are made
    hospitals = make_demo_hospitals(out / "hospitals", Console(stderr=True))
    with told(out, "the same command again"):
        results = run(
            demo_study(), hospitals, out=out, resume=is_begun(out), workers=workers, device=device, state=out / "state"
        )
    _show(results)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder to write to; by default ./NAME of the run.", show_default=False),
    ] = None,
    words: CardWordsFile = None,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY",
            help="Private key to sign with ('wardround release key FILE'); without one nobody signs.",
            show_default=False,
        ),
    ] = None,
    public: PublicRelease = False,
    hospital: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Write this simulated hospital's own model instead ([training] personal).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Export a finished run's model as a release: weights, study, model card, MONAI bundle, ONNX, list of digests.

    Of a deployed run 'wardround coordinator export' writes the same, with approvals and statements.
    """
    from wardround_simulation.door.exporting import export as write

    made = write(run, out, words=words, key=key, public=public, hospital=hospital)
    typer.echo(f"Wrote {', '.join(made.files[:-1])} and {made.files[-1]} to {made.folder}")
    typer.echo(made.said())


def hospitals_from(
    hospitals: Path | None, pool: Path | None, split: int | None, partition: str
) -> participants.Hospitals | None:
    """Return where the images are, from what a person typed; None where it was said twice, or not at all.

    Raises:
        typer.BadParameter: it was said how a folder is split, and which one was not.
    """
    if pool is None:
        for word, given in (("--split", split is not None), ("--partition", partition != "iid")):
            if given:
                raise typer.BadParameter("only the folder that --pool names is split", param_hint=word)
        return hospitals
    return participants.pool(pool, split, partition) if hospitals is None else None


@contextmanager
def told(folder: Path, how: str = "the same command with --resume") -> Iterator[None]:
    """Tell a person how a run in this folder is continued that was interrupted, or could not be completed.

    ``how``: what is run to continue one that has begun.
    """
    from wardround_common.shell.stopping import stopped_with
    from wardround_server.service.resuming import resuming

    def stopped() -> str:
        if not is_begun(folder):
            return "Nothing was kept yet: run the same command again."
        report = folder / "report.html"
        judged = f" The federation's figures are there: {report}." if report.exists() else ""
        return f"What was completed is in {folder}; run {how} to continue.{judged}"

    with stopped_with(stopped):
        try:
            yield
        except RoundError as error:
            hint = "" if "--resume" in error.do else resuming(error, how)
            error.do = "\n  → ".join(filter(None, (error.do, hint)))
            raise


def _show(results: Results) -> None:
    from rich.console import Console

    from wardround_server.report import summary

    Console().print(summary(results.record))
    Console().print(f"Report: {results.report}\nModel:  {results.model}", soft_wrap=True)
