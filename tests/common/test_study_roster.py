"""The roster in a study file: hospitals approve exactly these keys, and every fault of it is named."""

from __future__ import annotations

import itertools
import unicodedata

import pytest

from wardround_common.errors import StudyError
from wardround_common.keys.identity import Identity
from wardround_common.study.file import Study, parse_canonical, parse_study
from wardround_common.study.roster import Listed, keys_of
from wardround_common.study.template import study_text
from wardround_common.study.words.describe import describe


def listed(name: str, secret: str = "") -> Listed:
    return Listed.of(name, Identity((secret or name).encode().ljust(32, b".")[:32]).public)


THREE = tuple(listed(name) for name in ("Nord", "Süd", "West"))


def text(*roster: Listed, **aggregation: object) -> str:
    draft = study_text("a")
    keys = "".join(f"{key} = {value}\n" for key, value in aggregation.items())
    if "min_hospitals" in aggregation:
        draft = draft.replace("min_hospitals = 3\n", "")
    draft = draft.replace("[aggregation]\n", f"[aggregation]\n{keys}")
    return draft + "\n" + "\n".join(one.toml() for one in roster)


def faults(of: str) -> tuple[str, ...]:
    with pytest.raises(StudyError) as caught:
        parse_study(of)
    assert all(fault.isprintable() for fault in caught.value.faults)
    return caught.value.faults


def one_fault(of: str) -> str:
    (fault,) = faults(of)
    return fault


def said(study: Study) -> str:
    return "\n".join(sentence for passage in describe(study) for sentence in passage.sentences)


def test_what_hospitals_print_is_what_the_study_file_takes() -> None:
    study = parse_study(text(*THREE))
    assert study.roster == THREE
    assert dict(keys_of(study.roster).keys) == {one.name: one.public for one in THREE}


def test_every_name_and_key_is_in_the_digest_and_their_order_is_not() -> None:
    digests = {parse_study(text(*order)).digest() for order in itertools.permutations(THREE)}
    assert len(digests) == 1
    others = [(), (*THREE, listed("Ost")), (*THREE[:2], listed("West", "other")), (*THREE[:2], listed("Ost", "West"))]
    assert len(digests | {parse_study(text(*roster)).digest() for roster in others}) == 5


def test_a_roster_has_one_canonical_form_and_a_draft_has_none() -> None:
    study, draft = parse_study(text(*THREE)), parse_study(text())
    assert parse_canonical(study.canonical()) == study
    assert b"roster" not in draft.canonical()
    for wrong in (
        Study.canonical(study.model_copy(update={"roster": THREE[::-1]})),
        draft.canonical().replace(b'"study"', b'"roster":[],"study"'),
    ):
        with pytest.raises(StudyError, match="not in its canonical form"):
            parse_canonical(wrong)


def test_an_accent_in_a_name_that_is_typed_in_two_ways_is_one_name() -> None:
    two = text(*THREE).replace("Süd", unicodedata.normalize("NFD", "Süd"))
    assert parse_study(two).digest() == parse_study(text(*THREE)).digest()


def test_a_fingerprint_that_is_not_that_of_the_key_is_refused() -> None:
    wrong = text(*THREE).replace(THREE[1].fingerprint, THREE[0].fingerprint)
    assert one_fault(wrong) == "[[roster]] Süd: the fingerprint is not that of the key; ask the hospital again"


def test_a_key_that_was_swapped_is_refused_by_the_fingerprint_that_stayed() -> None:
    assert "Süd: the fingerprint is not" in one_fault(text(*THREE).replace(THREE[1].key, listed("Mallory").key))


def test_a_name_or_a_key_that_is_listed_twice_is_refused_and_each_is_named() -> None:
    found = faults(text(*THREE, listed("West", "other"), listed("Ost", "Nord")))
    assert found == (
        "[[roster]] Ost: this is the key of Nord; each hospital makes its own",
        "[[roster]] West: this name is listed more than once",
    )


def test_a_study_that_wants_more_hospitals_than_its_roster_lists_is_refused() -> None:
    assert "min_hospitals = 4: the roster lists 3 hospitals; list more" in one_fault(text(*THREE, min_hospitals=4))
    assert "min_hospitals = 3: the roster lists 1 hospital; list more" in one_fault(text(THREE[0]))


def test_a_roster_that_is_too_short_and_names_one_twice_has_both_faults_listed() -> None:
    assert [fault.split(":")[0] for fault in faults(text(THREE[0], THREE[0]))] == [
        "[aggregation] min_hospitals = 3",
        "[[roster]] Nord",
    ]


@pytest.mark.parametrize(("count", "threshold"), [(3, 4), (6, 3)])
def test_a_threshold_that_the_roster_cannot_keep_is_refused(count: int, threshold: int) -> None:
    roster = [listed(f"H{number}") for number in range(count)]
    assert one_fault(text(*roster, threshold=threshold)).startswith(f"[aggregation] threshold = {threshold}: ")


def test_a_study_of_more_than_a_hundred_hospitals_says_what_their_sums_leave_to_chance() -> None:
    study = parse_study(text(*(listed(f"H{number}") for number in range(120))))
    words = said(study)
    assert "With 120 hospitals each has 22 others as neighbours" in words
    assert "no more than 6 hospitals side with the coordinator" in words
    assert "can be read is at most 2^-40" in words
    assert (
        "If up to 12 hospitals drop out of a round by accident, the round is lost with a probability of at most 2^-20"
        in words
    )
    assert "as neighbours" not in said(parse_study(text(*THREE)))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f'key = "{THREE[1].key}"\n', "", "[[roster]], entry 2, key: this key is missing; its keys are name, key, "),
        ("\nkey = ", "\nkye = ", "did you mean 'key'?"),
        (THREE[1].key, THREE[1].key.upper(), "[[roster]], entry 2, key = "),
        (f'"{THREE[1].key}"', "7", "[[roster]], entry 2, key = 7: it must be text in quotes (64 hexadecimal digits"),
        (f'"{THREE[1].key}"', '"abc"', 'entry 2, key = "abc": this is not a word that can stand here (64 hexadecimal'),
        ('"Süd"', '"Süd "', 'entry 2, name = "Süd ": a hospital\'s name is one visible line of at most 100'),
        ('"Süd"', '""', "a hospital's name is one visible line"),
        ('"Süd"', '"S\\u001b[31m"', "a hospital's name is one visible line"),
        ('"Süd"', f'"{"x" * 101}"', "a hospital's name is one visible line"),
    ],
)
def test_a_wrong_entry_is_named_by_its_place(old: str, new: str, words: str) -> None:
    whole = text(*THREE)
    at = whole.index('name = "Süd"')
    assert old in whole[at:] or old in whole
    changed = whole[:at] + whole[at:].replace(old, new, 1) if old in whole[at:] else whole.replace(old, new)
    assert words in one_fault(changed)


@pytest.mark.parametrize("wrong", ["roster = 3\n", "[roster]\nname = 'a'\n", "roster = ['a']\n", "roster = [[]]\n"])
def test_a_roster_that_is_no_list_of_hospitals_says_how_it_is_written(wrong: str) -> None:
    fault = one_fault(wrong + text() if wrong.startswith("roster") else text() + wrong)
    assert "this must be a line [[roster]] for each hospital; its keys are name, key, fingerprint" in fault


def test_a_misspelt_roster_is_sent_home() -> None:
    assert one_fault(text() + THREE[0].toml().replace("roster", "rooster")) == (
        "[rooster]: there is no such section; did you mean [[roster]]?"
    )


def test_show_lists_the_hospitals_with_fingerprints_and_says_what_a_draft_is() -> None:
    words = said(parse_study(text(*THREE)))
    assert all(f"{one.name}: {one.fingerprint}" in words for one in THREE)
    assert "by telephone, not through the coordinator" in words
    assert "this is a draft, and only a simulation can run it" not in words
    assert "this is a draft, and only a simulation can run it" in said(parse_study(text()))


def test_every_hospital_of_the_largest_roster_fits_in_a_study_file() -> None:
    from wardround_common.study.file import LARGEST_FILE_BYTES

    roster = [listed(f"H{number}".ljust(100, "x")) for number in range(1000)]
    assert len(text(*roster).encode()) < LARGEST_FILE_BYTES
