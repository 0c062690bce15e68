"""The help of every command: each argument and option is explained, in one style, and nothing is truncated."""

import re
from collections.abc import Iterator

import click
import pytest

from wardround_common.shell.cli import wardround
from wardround_common.shell.commands import summary


def walk(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below
            yield from walk(below, click.Context(below, info_name=name, parent=context))


ALL = {
    path: (command, context)
    for path, command, context in walk(wardround, click.Context(wardround, info_name="wardround"))
}


def printed(path: str) -> str:
    return ALL[path][0].get_help(ALL[path][1])


def closed_up(text: str) -> str:
    """Return the text without its spaces and line breaks, which depend on the width of the screen."""
    return re.sub(r"\s+", "", text)


def test_the_commands_of_all_packages_are_walked() -> None:
    assert {"wardround scan", "wardround study plan", "wardround hospital audit verify"} <= ALL.keys()
    assert len(ALL) > 40


@pytest.mark.parametrize("path", ALL)
def test_each_argument_and_option_is_explained_where_the_help_is_printed(path: str) -> None:
    shown = closed_up(printed(path))
    for parameter in ALL[path][0].params:
        said = getattr(parameter, "help", None)
        assert said, f"{path}: {parameter.name} has no help"
        assert closed_up(said) in shown, f"{path}: the help of {parameter.name} is not printed"


@pytest.mark.parametrize("path", ALL)
def test_help_is_in_one_style(path: str) -> None:
    command, _ = ALL[path]
    said = [command.help or "", *(getattr(each, "help", None) or "" for each in command.params)]
    for text in said:
        assert re.match(r"[A-Z]", text), f"{path}: {text!r} does not begin with a capital letter"
        assert text.rstrip().endswith("."), f"{path}: {text!r} does not end with a full stop"
        assert not re.match(
            r"(A|An|The|This|It|So|How|Where|What|Which|Whether)\b(?! (hospital|coordinator)'s own)", text
        )
    assert not re.search(r"\\\[|…|[╭│╰]", printed(path))


@pytest.mark.parametrize("path", [path for path, (command, _) in ALL.items() if isinstance(command, click.Group)])
def test_no_summary_is_cut_short(path: str) -> None:
    command, context = ALL[path]
    assert isinstance(command, click.Group)
    shown = closed_up(printed(path))
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below
        if below.hidden:
            continue
        assert summary(below).endswith(".")
        assert closed_up(name + summary(below)) in shown


def test_hospital_and_coordinator_have_the_same_words_for_the_same_options() -> None:
    assert {"wardround hospital resume", "wardround coordinator resume"} <= ALL.keys()
    for path, (command, _) in ALL.items():
        other = path.replace("wardround hospital", "wardround coordinator")
        if other == path or other not in ALL:
            continue
        ours, theirs = ({each.name: each for each in one.params} for one in (command, ALL[other][0]))
        for name in (ours.keys() & theirs.keys()) - {"out", "against", "invitation"}:
            assert getattr(ours[name], "help", "") == getattr(theirs[name], "help", ""), (path, name)
            assert ours[name].metavar == theirs[name].metavar
