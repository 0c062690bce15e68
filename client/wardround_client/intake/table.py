"""A table that a person made in a spreadsheet: text of cells in rows, read strictly; no cell is ever quoted."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from wardround_common.counting import count
from wardround_common.errors import CHECK_FILE, LabelError
from wardround_common.one_form import one_form

LARGEST_CSV_BYTES = 256 << 20


def read_text(path: Path, by_name: str = "by its path", like: str = "file,label", what: str = "labels") -> str:
    """Read the text of a table; ``by_name`` says how another one is named, ``like`` how it begins, ``what`` it holds.

    Raises:
        LabelError: it cannot be read, is empty, too large, or is no UTF-8 text.
    """
    where = str(path)
    try:
        if path.stat().st_size > LARGEST_CSV_BYTES:
            raise LabelError(f"this file is too large for a list of {what}", where=where, do=f"Name the CSV {by_name}.")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise LabelError(f"the table of {what} cannot be read ({error.strerror})", where=where, do=CHECK_FILE) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise LabelError(f"line {line} is not UTF-8 text", where=where, do="Save it as 'CSV UTF-8'.") from None
    if not text.strip():
        raise LabelError(f"the table of {what} is empty", where=where, do=f"Begin with a line such as: {like}")
    if "\0" in text:
        raise LabelError("this is not a text file", where=where, do="Save the table as 'CSV UTF-8'.")
    return text


def delimiter_of(text: str, fits: Callable[[set[str]], bool]) -> str:
    """Find what separates cells: what makes the first line name the columns, else what is there most often."""
    header = text.lstrip().partition("\n")[0]
    likely = sorted(",;\t", key=header.count, reverse=True)  # spreadsheets of half of Europe write semicolons
    for delimiter in likely:
        if fits({one_form(name.strip()).casefold() for name in next(csv.reader([header], delimiter=delimiter), [])}):
            return delimiter
    return likely[0]


def rows_of(text: str, delimiter: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Read the table row by row, each with the number of the line where it begins."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise LabelError(f"line {line} is not CSV ({error})", where=where, do="Correct its quotes.") from None
        if row is None:
            return
        yield line, row


def whole_rows(
    rows: Iterator[tuple[int, list[str]]], cells: int, delimiter: str, where: str
) -> Iterator[tuple[int, list[str]]]:
    """Leave out blank lines; raise LabelError at a line that is not as long as the first."""
    for line, row in rows:
        if any(cell.strip() for cell in row):
            if len(row) != cells:
                raise _not_as_long(line, row, cells, delimiter, where)
            yield line, row


def _not_as_long(line: int, row: list[str], columns: int, delimiter: str, where: str) -> LabelError:
    """Say that a line has more or fewer cells than the first one, and what mostly is behind it: no cell is quoted."""
    if len(row) < columns:
        short = f"line {line} has {len(row)} of {columns} columns"
        return LabelError(short, where=where, do="Complete the line; an empty cell keeps its separator.")
    numbers = any(one.strip().isdigit() and other.strip().isdigit() for one, other in itertools.pairwise(row))
    if delimiter == "," and numbers:
        likely = "Most likely a number has a decimal comma without quotes"
    else:
        likely = f"Most likely a cell has a {_SEPARATORS[delimiter]} in it without quotes"
    return LabelError(
        f"line {line} has {count(len(row), 'cell')}, and the first line names {count(columns, 'column')}",
        where=where,
        do=f'{likely}: what follows it is read in the wrong column. Put such a cell in "quotes", or save the table '
        "with another separator.",
    )


_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
