"""One tree of errors: each has its exit code and its fixed word, and says what, where and what to do."""

import ast
import inspect
import re
from pathlib import Path

from wardround_common import errors
from wardround_common.errors import DataError, ImageRefused, StorageError, StudyError, WardroundError, listed


def tree() -> list[type[WardroundError]]:
    found = [error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, WardroundError)]
    return [error for error in found if error is not WardroundError]


def test_the_drawing_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"─ (\w+) ", errors.__doc__ or "")
    assert sorted(drawn) == sorted(error.__name__ for error in tree())


def test_the_drawing_gives_the_exit_codes() -> None:
    for name, code in re.findall(r"─ (\w+) .*exit (\d)$", errors.__doc__ or "", re.M):
        assert getattr(errors, name).exit_code == int(code)


def test_no_error_has_the_exit_code_of_a_bug_or_of_a_wrong_command_line() -> None:
    assert all(error.exit_code > 2 for error in tree())


def test_the_word_for_the_coordinator_is_fixed_and_short() -> None:
    assert all(re.fullmatch(r"[a-z][a-z-]{1,15}", error.kind) for error in tree())


def test_a_message_says_where_then_what_then_what_to_do() -> None:
    error = WardroundError("it is torn", where="a.dcm", do="Take another.")
    assert str(error) == "a.dcm: it is torn\n  → Take another."
    assert str(WardroundError("it is torn")) == "it is torn"


def test_a_refused_image_is_counted_by_its_reason() -> None:
    error = ImageRefused("not-dicom", "there is no DICOM prefix", where="a.dcm")
    assert (error.reason, str(error)) == ("not-dicom", "a.dcm: there is no DICOM prefix")


def test_a_study_error_always_lists_at_least_one_fault() -> None:
    assert StudyError("there is no such file").faults == ("there is no such file",)
    assert StudyError("two faults", faults=["a", "b"]).faults == ("a", "b")


def test_an_error_about_a_file_that_cannot_be_read_says_what_to_do() -> None:
    root, silent, seen = Path(__file__).parents[2], [], 0
    kinds = {kind.__name__ for kind in tree() if issubclass(kind, (DataError, StorageError, StudyError))}
    kinds.remove("ImageRefused")  # has advice for each reason
    for room in ("common", "client", "server", "simulation"):
        for module in (root / room).rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                    continue
                if node.func.id not in kinds:
                    continue
                said = "".join(str(one.value) for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant))
                if "cannot be read" in said or "does not exist" in said:
                    seen += 1
                    if not any(word.arg == "do" for word in node.keywords):
                        silent.append(f"{module.relative_to(root)}:{node.lineno}")
    assert seen > 30
    assert silent == []


def test_of_very_many_faults_the_first_are_listed_each_once_and_the_rest_counted() -> None:
    lines = listed([f"fault {number}" for number in [*range(1000), *range(1000)]]).splitlines()
    assert lines[:2] == ["  · fault 0", "  · fault 1"]
    assert lines[-1] == "  · and 800 more"
    assert len(lines) == 201
