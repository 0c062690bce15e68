"""What ``wardround weights`` prints."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress

from wardround_client import networks
from wardround_client.prior.learning import Lesson, learn, size_of
from wardround_client.state.weights_files import read_weights_file
from wardround_common.counting import count
from wardround_common.shell.stopping import NOTHING_KEPT, stopped_with
from wardround_common.storage import write_atomically
from wardround_common.study.file import read_study
from wardround_common.study.template import toml_value
from wardround_common.study.weights import Weights

NAMED = 12
"""Names that a sentence lists."""


def match_and_show(
    study: Path, file: Path, name: str | None, rename: tuple[tuple[str, str], ...], new: tuple[str, ...]
) -> None:
    """Print the table, and on standard error what of the network it gives."""
    parsed, content = read_study(study), read_weights_file(file)
    tensors = networks.read_tensors_of(content, where=str(file))
    # Neither adapters nor what standardises the input is in a file: names are those of the network itself.
    whole = parsed.model_copy(
        update={
            "model": parsed.model.model_copy(update={"train": "all", "rank": None}),
            "data": parsed.data.model_copy(update={"normalisation": None}),
        }
    )
    network = networks.build(whole)
    match = networks.matched(network, tensors, rename, new, where=str(file))
    weights = Weights(
        name=name or file.stem,
        file=hashlib.sha256(content).hexdigest(),
        tensors=match.digest,
        rename=rename,
        seeded=match.seeded,
        unused=match.unused,
        converted=match.converted,
    )
    screen = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    numbers = sum(tensor.numel() for tensor in match.given.values())
    screen.print(f"From the file: {count(len(match.given), 'tensor')} of the network, {count(numbers, 'number')}.")
    if match.seeded:
        screen.print(f"{len(match.seeded)} are what the seed gives: {_some(match.seeded)}")
    if match.unused:
        screen.print(f"{len(match.unused)} of the file are not used: {_some(match.unused)}")
    if match.converted:
        screen.print(
            f"{count(match.converted, 'batch normalisation')} in the file: scale and shift go to another "
            "normalisation; the statistics are not used, so that the network says something else at first than the "
            "file's."
        )
    size, wanted = size_of(content), parsed.data.image_size
    if isinstance(networks.body_of(network), networks.Computed) and size is not None and size != wanted:
        screen.print(
            f"It was computed from images of {size} pixels, and the study's have {wanted}: its features are counted in "
            f"pixels, so that one of 'weights learn --size {wanted}' would tell images apart better."
        )
    typer.echo("[model.weights]")
    for key, value in weights.model_dump(mode="json").items():
        typer.echo(f"{key} = {toml_value(value)}")


def learn_and_show(network: str, out: Path, **lesson: Any) -> None:
    """Learn, and write the file."""
    screen = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    with stopped_with(lambda: NOTHING_KEPT), Progress(console=screen, transient=True) as progress:
        task = progress.add_task("learning from made images", total=lesson["steps"])
        learnt = learn(
            Lesson(network, **lesson), lambda step, of, loss: progress.update(task, completed=step, total=of)
        )
    write_atomically(out, learnt.content)
    screen.print(f"It tells {learnt.accuracy:.0%} of new made images right (50 % is chance).")
    typer.echo(f"{out}  {hashlib.sha256(learnt.content).hexdigest()}")


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
