"""Several series of one examination are told apart by what scanners write, or by the hospital's own table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from series_made import SAGITTAL, enhanced, slices, written
from tiny_dicom import item, save
from wardround_client.volumes import Choice, Roles, Series, choose, examinations, roles_in, survey
from wardround_common.errors import LabelError
from wardround_common.study.series import Wanted

FLAIR = Wanted(role="flair", modality="MR", inversion_time_ms=(1500, 3500))
T1: dict[str, Any] = {"modality": "MR", "repetition_time_ms": (0, 1000), "echo_time_ms": (0, 30)}
WANTED = (FLAIR, Wanted(role="t1", contrast=False, **T1), Wanted(role="t1c", contrast=True, **T1))

SPIN_ECHO: dict[str, Any] = {"RepetitionTime": 500, "EchoTime": 12}
DARK_FLUID: dict[str, Any] = {"RepetitionTime": 9000, "EchoTime": 120, "InversionTime": 2400}


def series_of(folder: Path, **attributes: Any) -> Series:
    (found,) = survey(written(slices(2, **attributes), folder)).series
    return found


def roles_of(choice: Choice) -> dict[str, str]:
    return {role: one.acquisition.description for role, one in choice.taken.items()}


def test_two_series_of_one_name_are_told_apart_by_the_contrast_agent(tmp_path: Path) -> None:
    made = [
        series_of(tmp_path / "a", SeriesDescription="T1W_SE TRA", **SPIN_ECHO),
        series_of(tmp_path / "b", SeriesDescription="T1W_SE TRA", ContrastBolusAgent="GADOVIST", **SPIN_ECHO),
        series_of(tmp_path / "c", SeriesDescription="t2_tirm_tra_dark-fluid", **DARK_FLUID),
    ]
    choice = choose(made, WANTED)
    assert (choice.taken["t1"], choice.taken["t1c"], choice.taken["flair"]) == tuple(made)
    assert not choice.missing
    assert not choice.open


def test_enhanced_objects_say_the_same_in_their_functional_groups(tmp_path: Path) -> None:
    made = enhanced(ContrastBolusAgentSequence=[item(CodeValue="1", CodeMeaning="Gadolinium")])
    shared = made.SharedFunctionalGroupsSequence[0]
    shared.MRModifierSequence = [item(InversionRecovery="YES", InversionTimes=2400.0)]
    shared.MREchoSequence = [item(EffectiveEchoTime=120.0)]
    shared.MRTimingAndRelatedParametersSequence = [item(RepetitionTime=9000.0)]
    (series,) = survey([save(made, tmp_path / "a")]).series
    told = series.acquisition
    assert (told.contrast, told.inversion_time_ms, told.echo_time_ms, told.repetition_time_ms) == (
        True,
        2400,
        120,
        9000,
    )


@pytest.mark.parametrize(
    ("description", "agent", "given"),
    [
        ("T1 POST GD AX", "", True),
        ("Ax T1 +C", "", True),
        ("t1_se_tra_post", "", True),
        ("T1 tra KM", "", True),
        ("T1W_SE TRA", "OMNISCAN 10ML", True),
        ("T1 AX", "", False),
        ("T1 AX", "NONE", False),
        ("T1 pre contrast", "", False),
        ("T1 w/o contrast", "", False),
        ("T1 posterior fossa", "", False),
        ("T1 post op", "", False),
        ("T1 SPACE CE", "", True),
    ],
)
def test_contrast_is_told_by_the_agent_or_by_the_words_of_technicians(
    description: str, agent: str, given: bool
) -> None:
    from wardround_client.volumes import Acquisition

    assert Acquisition(description=description, agent=agent).contrast is given


def test_patterns_planes_and_image_types_tell_series_apart(tmp_path: Path) -> None:
    axial = series_of(tmp_path / "a", SeriesDescription="AX_T2-TSE", ImageType=["ORIGINAL", "PRIMARY", "M"])
    sagittal = series_of(tmp_path / "b", SeriesDescription="SAG T2 TSE", orientation=SAGITTAL)
    both = [axial, sagittal]

    def taken(**says: Any) -> Series | None:
        return choose(both, [Wanted(role="t2", **says)]).taken.get("t2")

    assert taken(plane="sagittal") is sagittal
    assert taken(description=("*ax t2 tse*",)) is axial
    assert taken(description=("*t2*",), not_description=("sag*",)) is axial
    assert taken(description=("*t2*",), plane="coronal") is None
    assert taken(plane="axial", image_type=("m",)) is axial
    assert taken(plane="axial", image_type=("ADC",)) is None


def test_overviews_and_maps_are_not_taken_unless_the_study_names_them(tmp_path: Path) -> None:
    overview = series_of(tmp_path / "a", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    adc = series_of(tmp_path / "b", ImageType=["DERIVED", "PRIMARY", "ADC"])
    assert choose([overview, adc], [Wanted(role="any")]).missing == ("any",)
    assert choose([overview, adc], [Wanted(role="adc", kinds=("derived",))]).taken == {"adc": adc}


def test_a_role_that_several_series_fit_is_left_open_and_so_is_a_series_of_several_roles(tmp_path: Path) -> None:
    repeated = [series_of(tmp_path / name, **DARK_FLUID) for name in "ab"]
    choice = choose(repeated, WANTED)
    assert (choice.taken, choice.missing) == ({}, ("t1", "t1c"))
    assert choice.open == {"flair": tuple(repeated)}
    twice = choose(repeated[:1], [FLAIR, Wanted(role="any")])
    assert set(twice.open) == {"flair", "any"}


def test_the_table_of_the_hospital_comes_before_the_patterns_of_the_study(tmp_path: Path) -> None:
    repeated = [series_of(tmp_path / name, SeriesDescription=f"S {name}", **DARK_FLUID) for name in "ab"]
    table = tmp_path / "series.csv"
    table.write_text("description,role\ns_A,flair\n", encoding="utf-8")
    named = roles_in(table, WANTED)
    assert roles_of(choose(repeated[:1], WANTED, named)) == {"flair": "S a"}
    assert set(choose(repeated, WANTED, named).open) == {"flair"}
    table.write_text(f"uid,role\n{repeated[0].uid},\n", encoding="utf-8")
    assert choose(repeated, WANTED, roles_in(table, WANTED)).taken == {"flair": repeated[1]}
    assert choose(repeated, WANTED, Roles({repeated[0].uid: "t1", repeated[1].uid: "t1c"})).missing == ("flair",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("uid,role\n1.2,flare\n", "does not have this role"),
        ("uid,role\n,flair\n", "names no series"),
        ("uid,role\n1.2,flair\n1.2,t1\n", "two roles"),
        ("role\nflair\n", "needs a column"),
        ("uid,role\n\x00\xff", "read|needs|names"),
    ],
)
def test_a_table_of_series_that_says_nonsense_is_an_error(tmp_path: Path, text: str, says: str) -> None:
    table = tmp_path / "series.csv"
    table.write_bytes(text.encode("latin-1"))
    with pytest.raises(LabelError, match=says):
        roles_in(table, WANTED)


def test_series_of_one_study_are_one_examination(tmp_path: Path) -> None:
    first = [series_of(tmp_path / name) for name in "ab"]
    later = series_of(tmp_path / "c", StudyInstanceUID="1.2.3")
    assert sorted(len(found) for found in examinations([*first, later]).values()) == [1, 2]


def test_a_study_writes_only_what_it_states_of_a_series() -> None:
    assert FLAIR.model_dump(mode="json") == {"role": "flair", "modality": "MR", "inversion_time_ms": [1500.0, 3500.0]}
    assert Wanted.model_validate(FLAIR.model_dump()) == FLAIR
    with pytest.raises(ValidationError, match="least"):
        Wanted(role="flair", echo_time_ms=(30, 0))
    with pytest.raises(ValidationError, match="Extra inputs"):
        Wanted.model_validate({"role": "flair", "descripton": ["x"]})
