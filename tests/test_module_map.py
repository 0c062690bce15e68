"""The page of modules says what the tree has."""

from __future__ import annotations

from module_map import PACKAGES, PAGE, ROOT, first_sentence, page


def test_the_page_of_modules_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run 'make map'"


def test_every_module_says_in_its_first_line_what_it_is_for() -> None:
    for package in PACKAGES:
        for path in (ROOT / package / f"wardround_{package}").rglob("*.py"):
            assert first_sentence(path).endswith((".", "?", ":")), path.relative_to(ROOT)
