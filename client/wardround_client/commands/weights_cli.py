"""``wardround weights``: files of weights that a study's network begins with. Imports are deferred until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_common.shell.command_options import StudyFile
from wardround_common.shell.commands import Commands

app = Commands("Begin with weights that were learnt elsewhere, or from made images that are nobody's.")


@app.command()
def match(
    study: StudyFile,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File of weights: safetensors, or a state dict.", show_default=False)
    ],
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name of the weights for people; by default that of the file.", show_default=False
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="THEIRS=OURS",
            help="Beginning of names in the file, and what it is in the network; repeatable.",
            show_default=False,
        ),
    ] = None,
    new: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BEGINNING",
            help="Beginning of names of the network that the seed gives, whatever the file has; repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Match a file's tensors with a study's network, and print the [model.weights] table to append to the study."""
    from wardround_client.commands.weights_screen import match_and_show

    pairs = []
    for each in rename or ():
        theirs, is_pair, ours = each.partition("=")
        if not is_pair:
            raise typer.BadParameter(f"{each!r} is no THEIRS=OURS", param_hint="--rename")
        pairs.append((theirs, ours))
    match_and_show(study, file, name, tuple(pairs), tuple(new or ()))


@app.command()
def learn(
    network: Annotated[
        str, typer.Argument(metavar="NETWORK", help="Network that a study for labels can name.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="File to write, safetensors.", show_default=False)
    ],
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the network and of the images.")] = 0,
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Steps of learning.")] = 600,
    size: Annotated[int, typer.Option(metavar="N", min=16, max=512, help="Height and width of the images.")] = 64,
    channels: Annotated[int, typer.Option(metavar="N", min=1, max=16, help="Channels of the network.")] = 1,
    norm: Annotated[str, typer.Option(metavar="NAME", help="Normalisation: group or instance.")] = "group",
) -> None:
    """Let a network learn from images that the seed makes: which of them hold something that does not belong.

    Nobody's data are used, so that this costs no privacy. The same command gives the same file.
    """
    from wardround_client.commands.weights_screen import learn_and_show

    if norm not in ("group", "instance"):
        raise typer.BadParameter("write group or instance", param_hint="--norm")
    if out.exists():
        raise typer.BadParameter("this file is there already", param_hint="--out")
    learn_and_show(network, out, seed=seed, steps=steps, size=size, channels=channels, norm=norm)
