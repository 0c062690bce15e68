"""Each command that a message or a document names exists, with its options; in messages with all that it needs."""

import ast
import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from wardround_common.shell.cli import wardround
from wardround_common.shell.commands import ShowByDefault, in_its_folder

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", "client", "server", "simulation")
SOURCES = sorted(path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FIRST = sorted(wardround.list_commands(click.Context(wardround)))
NAMED = re.compile(rf"\bwardround ((?:{'|'.join(FIRST)})\b[^\n`|#&><…()]*)")
NO_COMMANDS = re.compile(r"(change|evidence) \d")  # the names of formats
VALUE = "VALUE"  # what an f-string puts in
ARGUMENT = re.compile(r"[A-Z][A-Z0-9_.-]*|[\w./-]*\.\w+|\{?VALUE\S*|\{\w+\}\S*")


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Find the strings of a module that are no docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner | docstrings:
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(put_in(part) for part in node.values)


def put_in(part: ast.expr) -> str:
    """Return what a part of an f-string looks like in the message."""
    return str(part.value) if isinstance(part, ast.Constant) else VALUE


def words(said: str) -> list[str]:
    """Split a command off the sentence in which it stands."""
    found = []
    for word in said.split():
        bare = word.strip("'\"“”[],;:.*")
        if bare:
            found.append(bare)
        if word.rstrip("'\"”*]")[-1:] in (",", ";", ":", ".", "") or word[-1] in "'\"”;:,.":
            break
    return found


@functools.cache
def below(command: click.Group, name: str) -> click.Command | None:
    """Find a command of a group; to find one may load a package and build its commands anew."""
    return command.get_command(click.Context(command), name)


def wrong(said: str, *, complete: bool) -> str:
    """Say what is wrong with a command as it is named; nothing if it exists.

    ``complete``: it must have all that it needs, so that it can be typed; a document may name it alone.
    """
    command: click.Command = wardround
    context = click.Context(wardround, info_name="wardround")
    rest, arguments, options = words(said), 0, set()

    def enter(name: str) -> None:
        nonlocal command, context
        assert isinstance(command, click.Group)
        found = below(command, name)
        assert found
        command, context = found, click.Context(found, info_name=name, parent=context)

    while rest:
        word = rest[0]
        if isinstance(command, click.Group):
            if below(command, word):
                enter(rest.pop(0))
            elif isinstance(command, ShowByDefault):
                enter(command.DEFAULT)
            elif re.fullmatch("[a-z-]+", word):
                return f"{command.name} has no command {word!r}"
            else:
                break
        elif word.startswith("--"):
            known = {opt: one for one in command.get_params(context) for opt in (*one.opts, *one.secondary_opts)}
            option = known.get(rest.pop(0).partition("=")[0])
            if option is None:
                return f"{context.command_path} has no option {word}"
            options.add(option.name)
            if rest and not getattr(option, "is_flag", False):
                rest.pop(0)
        elif ARGUMENT.fullmatch(word):
            rest.pop(0)
            arguments += 1
        else:
            break
    if isinstance(command, ShowByDefault):
        enter(command.DEFAULT)
    if not complete or isinstance(command, click.Group):
        return f"{context.command_path} is a group of commands" if complete else ""
    needed = [one for one in command.params if one.required]
    lacking = [one for one in needed if isinstance(one, click.Argument)][arguments:]
    lacking += [one for one in needed if isinstance(one, click.Option) and one.name not in options]
    return f"{context.command_path} lacks {', '.join(str(one.name) for one in lacking)}" if lacking else ""


def found(lines: Iterator[tuple[int, str]], *, complete: bool) -> list[str]:
    said = [(line, match[1]) for line, text in lines for match in NAMED.finditer(text)]
    return [f"line {line}: {fault}" for line, text in said if (fault := wrong(text, complete=complete))]


def test_what_is_wrong_with_a_command_is_found() -> None:
    assert wrong("coordinator resume DIR RUN --give-up; then", complete=True) == ""
    assert "lacks run" in wrong("coordinator resume DIR", complete=True)
    assert "has no option --giveup" in wrong("coordinator resume DIR RUN --giveup", complete=True)
    assert "has no command 'go-on'" in wrong("hospital go-on", complete=False)
    assert "lacks data" in wrong("hospital init NAME", complete=True)
    assert wrong("hospital audit --follow", complete=True) == ""
    assert "group" in wrong("hospital ledger", complete=True)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_message_names_commands_that_can_be_typed(path: Path) -> None:
    lines = ((line, NO_COMMANDS.sub("", text)) for line, text in messages(path))
    assert found(lines, complete=True) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_message_of_a_hospital_in_another_folder_names_commands_that_find_it(path: Path) -> None:
    folder = "/srv/ward two"
    for _, text in messages(path):
        said = in_its_folder(text, typed(["hospital", "pause", "--state", folder]))
        for match in re.finditer(r"wardround hospital (?:(?:ledger|policy|audit) )?[a-z-]+", text):
            assert f"{match[0]} --state {shlex.quote(folder)}" in said
        assert said.replace(f" --state {shlex.quote(folder)}", "") == text
        assert in_its_folder(text, typed(["hospital", "pause"])) == text


def test_a_message_names_the_folder_where_a_command_has_the_same() -> None:
    said = (
        "Run: wardround hospital audit, or wardround hospital. Then 'wardround scan DIR'; wardround coordinator run C S"
    )
    assert in_its_folder(said, typed(["hospital", "pause", "--state", "B"])) == (
        "Run: wardround hospital audit --state B, or wardround hospital. Then 'wardround scan DIR'; wardround "
        "coordinator run C S"
    )
    assert in_its_folder("wardround pacs find now", typed(["hospital", "pause", "--state", "B"])) == (
        "wardround pacs find --state B now"
    )
    assert in_its_folder("wardround hospital pause", typed(["scan", "X", "--state", "B"])) == "wardround hospital pause"


def typed(words: list[str]) -> click.Context:
    """Parse what somebody types, without running it."""
    context = click.Context(wardround, info_name="wardround")
    while isinstance(context.command, click.Group):
        command = below(context.command, words[0])
        assert command
        context = (
            command.make_context(words[0], words[1:], parent=context)
            if not isinstance(command, click.Group)
            else (click.Context(command, info_name=words[0], parent=context))
        )
        words = words[1:]
    return context


@pytest.mark.parametrize(
    "path", sorted((ROOT / "client/wardround_client/commands").glob("*.py")), ids=lambda path: path.name
)
def test_what_names_a_hospitals_next_command_is_said_with_its_folder(path: Path) -> None:
    for call in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("typer.echo", "console.print"):
            assert "wardround hospital" not in ast.unparse(call), "print it with wardround_common.shell.commands.say"


WORDS = re.compile(
    r"(_place|name|run|plugin|host|digest|package|package_of\(name\))$"
)  # what cannot hold a space, or is quoted already


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_path_in_a_command_can_be_typed_also_with_a_space_in_it(path: Path) -> None:
    for said in ast.walk(ast.parse(path.read_text("utf-8"))):
        before = ""
        for part in said.values if isinstance(said, ast.JoinedStr) else ():
            if isinstance(part, ast.FormattedValue) and re.search(
                rf"\bwardround ({'|'.join(FIRST)}) [^.;'\n]*$", before
            ):
                put = ast.unparse(part.value)
                assert put.startswith("shlex.quote(") or WORDS.search(put), f"line {part.lineno}: quote {put}"
            before += put_in(part)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_document_names_commands_that_exist(path: Path) -> None:
    assert found(enumerate(path.read_text("utf-8").splitlines(), 1), complete=False) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_answer_no_is_never_an_interruption(path: Path) -> None:
    assert "abort=True" not in path.read_text("utf-8"), "ask with wardround_common.shell.commands.confirm"
