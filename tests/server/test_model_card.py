"""A model's card says what the run knows, hides what is few, and names what nobody has stated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wardround_common.errors import StorageError
from wardround_common.metrics.maps import MapSums
from wardround_common.metrics.shapes import Estimate
from wardround_common.metrics.sum_intervals import AT_MOST, INDEPENDENT, OF_SPREAD
from wardround_common.results import ALL, DEPLOYED, EXTERNAL, FEDERATED, TRAINED, Results, SubgroupFigures, Subgrouping
from wardround_common.results.evaluation import OF_PATIENTS
from wardround_common.results.map_sums import MapCell, figures_of_maps
from wardround_common.results.parts import Part
from wardround_common.study.evaluation import Maps
from wardround_common.study.words.work import said_of_classes, says_unlike
from wardround_common.tasks.registry import task_of
from wardround_server.report.card_words import UNSAID, CardWords, read_words
from wardround_server.report.example import example
from wardround_server.report.model_card import (
    FEW,
    SHARED,
    Signed,
    alarms,
    by_group,
    by_hospital,
    calibration,
    data,
    escaped,
    maps,
    markdown,
    notes,
    overall,
    page,
    privacy,
    subgroups,
)
from wardround_server.report.tables.subgroups import said_of_worst
from wardround_server.rounds.exported_model import make_card
from wardround_simulation.jobs import Shared
from wardround_simulation.run.notes import said_of_shared

ONNX = Part(name="ONNX", files=("model.onnx",), said="For onnxruntime.", largest_difference=2e-6, tolerance=1e-4)


@pytest.fixture(scope="module")
def results() -> Results:
    return example(baselines=False)


def text_of(results: Results, words: CardWords | None = None, signed: Signed | None = None) -> str:
    return markdown(results, make_card(results, None, {}), words or CardWords(), [ONNX], signed)


def with_training(results: Results, *counts: tuple[int, ...]) -> Results:
    """Replace the first hospitals' training images of each class by these numbers, and patients by their sum."""
    hospitals = list(results.hospitals)
    for number, per_class in enumerate(counts):
        train = hospitals[number].train
        assert train is not None
        made = train.model_copy(update={"patients": sum(per_class), "images": sum(per_class), "per_class": per_class})
        hospitals[number] = hospitals[number].model_copy(update={"train": made})
    return results.model_copy(update={"hospitals": tuple(hospitals)})


def test_a_card_has_the_sections_of_model_cards_and_says_what_nobody_stated(results: Results) -> None:
    text = text_of(results)
    headings = re.findall(r"^## (.*)$", text, re.M)
    assert headings == [
        "Model",
        "Intended use",
        "Limits",
        "Training data",
        "How good it is",
        "Privacy of the training patients",
        "Preparation and training",
        "Explanations",
        "Ethical considerations",
        "How to run it",
        "Licences",
        "Who vouches for these files",
        "Citation",
    ]
    assert text.count(UNSAID) == len(CardWords.model_fields)
    assert "Nobody signed it" in text


def test_a_card_says_whose_figures_these_are_what_was_not_private_and_how_equal_onnx_is(results: Results) -> None:
    text, together = text_of(results), results.evaluation[FEDERATED][ALL]
    assert f"| AUROC | {together.value('auroc'):.3f} (" in text
    assert all(f"| {hospital.name} |" in text for hospital in results.hospitals)
    assert "its noise came from the seed and protects nobody" in text
    assert "It does not cover the counts and the evaluation sums" in text
    assert "Largest difference from PyTorch over the images of the check: 2.0e-06; accepted up to 1.0e-04." in text
    assert "remember patients" in text_of(example(private=False, baselines=False))
    calibrated = make_card(results, None, {}).model_copy(update={"temperature": 1.5})
    said = markdown(results, calibrated, CardWords(), [ONNX], None)
    assert f"Calibration error on all test patients: {together.value('calibration_error'):.3f}." in said
    assert f"Brier score on all test patients: {together.value('brier'):.3f}." in said
    told = "and the sums of features of the validation images in `unlike.json`; and whatever was tried"
    knows = make_card(results, None, {}).model_copy(update={"unlike": 1.5})
    assert told in " ".join(markdown(results, knows, CardWords(), [ONNX], None).split())
    assert "unlike.json" not in text


def test_what_people_state_stands_in_the_card_as_text_and_never_as_markup(results: Results) -> None:
    use = "Triage | of <script>alert(1)</script> *films*\n# not a heading"
    words = CardWords(intended_use=use, licence="CC-BY-4.0")
    text = text_of(results, words, Signed("12345 67890 12345 67890", "coordinator"))
    shown = page(text, "a & b")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; *films* # not a heading" in shown
    assert "<script" not in shown
    assert "a &amp; b – model card" in shown
    assert "| Weights | CC-BY-4.0 |" in text
    assert "intended_use, " not in text  # in the order of the keys, the last one stated
    assert "signed by the coordinator, whose key has the fingerprint **12345 67890 12345 67890**" in text
    assert "http" not in shown.replace("http-equiv", "")


def test_numbers_of_few_patients_are_hidden_with_those_from_which_they_follow(results: Results) -> None:
    few = with_training(results, (40, 7), (4, 3))
    table = data(few)
    assert table is not None
    *each, last = table.splitlines()[2:]
    assert all(line.endswith("| – | – | – | – |") for line in each)
    assert re.search(r"All together \| [\d,]+ \| [\d,]+ \| [\d,]+ \| [\d,]+ \|$", last)
    shown = by_hospital(few)
    assert shown is not None
    assert " to " not in shown
    assert " to " in str(by_hospital(results))
    table = data(with_training(results, (40, 7)))
    assert table is not None
    first, second, *_, last = table.splitlines()[2:]
    assert first.endswith("| 47 | 47 | – | – |")
    assert re.search(r"\| [\d,]+ \| [\d,]+ \| – \| – \|$", second)
    assert re.search(r"All together \| [\d,]+ \| [\d,]+ \| [\d,]+ \| [\d,]+ \|$", last)


def test_a_small_hospital_does_not_follow_from_all_test_patients_less_those_of_the_others(results: Results) -> None:
    """A hospital's test patients follow from those it trains on, by the study's fractions: so no other's are shown."""
    sites = results.evaluation[FEDERATED]
    name = results.hospitals[0].name
    few = sites[name].model_copy(update={"patients": 7, "images": 7})
    small = results.model_copy(update={"evaluation": {FEDERATED: sites | {name: few}}})
    for shown in (data(small), privacy(small)):
        assert shown is not None
        lines = [line for line in shown.splitlines() if any(f"| {one.name} |" in line for one in small.hospitals)]
        assert len(lines) == len(small.hospitals)
        assert not any(re.search(r"\| [\d,.]+ \|.*\d \|", line) for line in lines)


def test_a_small_class_does_not_follow_from_all_images_less_the_other_classes(results: Results) -> None:
    """Two hospitals have 3 and 2 images of a class: all less those of the others would be 5."""
    few = with_training(results, (50, 3), (60, 2))
    table = data(few)
    assert table is not None
    first, second, *_, last = table.splitlines()[2:]
    assert first.endswith("| 53 | 53 | – | – |")
    assert second.endswith("| 62 | 62 | – | – |")
    assert all(line.endswith("| – | – |") for line in table.splitlines()[2:-1])
    assert last.endswith("|")
    assert "–" not in last
    none = with_training(results, *[(50, 1)] * len(results.hospitals))
    assert str(data(none)).splitlines()[-1].endswith("| – | – |")  # six in all


@pytest.mark.parametrize(
    ("record", "heads"), [("slice", "Images |"), ("series", "Series |"), ("patient", "“")], ids=lambda one: one
)
def test_records_of_several_images_are_not_counted_as_images(results: Results, record: str, heads: str) -> None:
    of = results.study.model_copy(update={"data": results.study.data.model_copy(update={"record": record})})
    table = data(results.model_copy(update={"study": of}))
    assert table is not None
    head, _, first, *_ = table.splitlines()
    assert head.startswith(f"| Hospital | Training patients | {heads}")
    assert head.count("|") == first.count("|")


def with_test(results: Results, site: str, found: int, of: int, rest: int = 80) -> Results:
    """Replace a site's figures by those of a class: how many records it has, how many were found, how many others."""
    whole = results.evaluation[FEDERATED][ALL]
    groups = [
        group.model_copy(update={"records": records, "rest": others, "found": min(found, records)})
        for group, records, others in zip(whole.by_group, (rest, of), (of, rest), strict=True)
    ]
    low, high = proportion_interval(found, of)
    sensitivity = Estimate(value=found / of, low=low, high=high)
    changed = whole.model_copy(
        update={
            "patients": of + rest,
            "images": of + rest,
            "by_group": tuple(groups),
            "metrics": whole.metrics | {"sensitivity": sensitivity},
        }
    )
    sites = results.evaluation[FEDERATED] | {site: changed}
    return results.model_copy(update={"evaluation": results.evaluation | {FEDERATED: sites}})


def proportion_interval(found: int, of: int) -> tuple[float, float]:
    """Wilson's interval."""
    z, p = 1.96, found / of
    middle, half = p + z * z / (2 * of), z * (p * (1 - p) / of + z * z / (4 * of * of)) ** 0.5
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


@pytest.mark.parametrize("public", [False, True], ids=["the card", "model.json of a public release"])
def test_of_how_few_of_a_class_a_figure_is_follows_from_no_fraction_and_no_interval(
    results: Results, public: bool
) -> None:
    """Two decimals of sensitivity, specificity and PPV, of 87 images in all, are those of seven and of no other few."""
    counted = [metric.name for metric in task_of(results.study.task).metrics if metric.counts]
    few = with_test(results, ALL, 6, 7)
    if public:
        told = make_card(few, None, {}, public=True).judgement
        assert told is not None
        assert {told.metrics[name] for name in counted} == {None}
        assert told.metrics["auroc"] == round(few.evaluation[FEDERATED][ALL].value("auroc") or 0, 2)
        many = make_card(with_test(results, ALL, 60, 70), None, {}, public=True).judgement
        assert many is not None
        assert many.metrics["sensitivity"] == 0.857
        assert make_card(with_test(results, ALL, 2, 3, rest=6), None, {}, public=True).judgement is None
        return
    table = overall(few)
    assert table is not None
    calibrated = make_card(few, None, {}).model_copy(update={"temperature": 1.5})
    said = markdown(few, calibrated, CardWords(), [ONNX], None)
    assert re.search(r"Brier score on all test patients: 0\.\d\d\.", said)  # no longer than in the table
    assert "fractions of its cases are not published" in said
    labels = [task_of(results.study.task).metric(name).label for name in counted]
    lines = [line for line in table.splitlines() if line.split(" | ")[0].removeprefix("| ") in labels]
    assert len(lines) == len(counted)
    assert all(line.endswith("| – |") for line in lines)
    assert " to " not in table
    of_seven = _figures(6, 7, 8, 87)
    assert {
        of for of in range(1, 10) for k in range(of + 1) for f in range(88 - of) if _figures(k, of, f, 87) == of_seven
    } == {7}
    whole = overall(with_test(results, ALL, 60, 70))
    assert whole is not None
    assert re.search(r"Sensitivity[^|]* \| 0\.857 \(0\.76 to 0\.92\)", whole)
    name = results.hospitals[0].name
    hospitals = by_hospital(with_test(results, name, 6, 7))
    assert hospitals is not None
    (line,) = [one for one in hospitals.splitlines() if one.startswith(f"| {name}")]
    assert " to " not in line
    assert line.endswith("| – | – |")


def _figures(found: int, of: int, false: int, images: int) -> tuple[float | None, ...]:
    """Return sensitivity, specificity and PPV with two decimals."""
    ppv = round(found / (found + false), 2) if found + false else None
    return round(found / of, 2), round(1 - false / (images - of), 2), ppv


def test_a_small_class_does_not_follow_from_the_fractions_of_the_others_and_all_images() -> None:
    """A class's three fractions of three decimals and all images are of one number of its records: 7 would be left."""
    many = example(classes=3, baselines=False)
    whole = many.evaluation[FEDERATED][ALL]
    sizes = (57, 36, 7)
    groups = [
        group.model_copy(update={"records": size, "rest": 100 - size, "found": 1, "decided": 9})
        for group, size in zip(whole.by_group, sizes, strict=True)
    ]
    few = whole.model_copy(update={"patients": 100, "images": 100, "by_group": tuple(groups)})
    table = by_group(many.model_copy(update={"evaluation": {FEDERATED: {ALL: few}}}))
    assert table is not None
    head, _, first, second, third = table.splitlines()
    assert head == "|  | AUROC |"
    assert FEW in third
    assert FEW not in first + second
    shown = by_group(many)
    assert shown is not None
    assert "Sensitivity" in shown.splitlines()[0]


@pytest.mark.parametrize(
    ("metric", "reason", "shown"),
    [
        ("sensitivity", INDEPENDENT, True),  # of 70: no small number
        ("ppv", INDEPENDENT, False),  # of as many as the model decides for, which may be three
        ("sensitivity", OF_PATIENTS, False),  # of as many patients as 70 images are of, which may be three
        ("sensitivity", OF_SPREAD, False),  # of more than a fraction and of how many
        ("auroc", AT_MOST, False),
        ("ppv", "", True),  # a bootstrap
    ],
)
def test_an_interval_that_follows_from_a_number_which_may_be_small_is_not_on_the_card(
    results: Results, metric: str, reason: str, shown: bool
) -> None:
    many = with_test(results, ALL, 60, 70)
    whole = many.evaluation[FEDERATED][ALL]
    estimate = Estimate(2 / 3, *proportion_interval(2, 3), reason=reason)
    sites = {ALL: whole.model_copy(update={"metrics": whole.metrics | {metric: estimate}})}
    table = overall(many.model_copy(update={"evaluation": {FEDERATED: sites}}))
    assert table is not None
    (line,) = [one for one in table.splitlines() if "0.667" in one]
    assert (" to " in line) is shown


def test_a_small_part_of_the_test_patients_is_not_all_less_the_others(results: Results) -> None:
    whole = results.evaluation[FEDERATED][ALL]
    few = whole.model_copy(update={"patients": 4, "images": 4})
    many = whole.model_copy(update={"patients": 90, "images": 90})
    for outside, columns in ((many, 3), (few, 1)):
        sites = {ALL: whole, TRAINED: many, EXTERNAL: outside}
        table = overall(results.model_copy(update={"evaluation": {FEDERATED: sites}}))
        assert table is not None
        assert table.splitlines()[0].count("|") == columns + 2


def test_few_of_a_class_in_one_part_of_the_test_patients_are_not_those_of_all_less_the_other_part(
    results: Results,
) -> None:
    """0.917 (0.78 to 0.97) is 33 of 36 and nothing else, 0.933 (0.79 to 0.98) is 28 of 30: six are left."""

    def sensitivities(*found: tuple[int, int]) -> str:
        parts = zip((ALL, TRAINED, EXTERNAL), found, strict=True)
        sites = {name: with_test(results, name, *k_of_n).evaluation[FEDERATED][name] for name, k_of_n in parts}
        table = overall(results.model_copy(update={"evaluation": {FEDERATED: sites}}))
        assert table is not None
        (line,) = [one for one in table.splitlines() if one.startswith("| Sensitivity")]
        return line

    possible = {
        shown: [of for of in range(1, 200) if shown in {_written(found, of) for found in range(of + 1)}]
        for shown in ("0.917 (0.78 to 0.97)", "0.933 (0.79 to 0.98)")
    }
    assert [*possible.values()] == [[36], [30]]
    assert re.search(r"\| 0\.92 \| – \| 0\.93 \|$", sensitivities((33, 36), (5, 6), (28, 30)))
    assert "0.917 (0.83 to 0.96)" in sensitivities((66, 72), (38, 42), (28, 30))


@pytest.mark.parametrize(("trained", "decimals"), [((5, 6), 2), ((38, 42), 3)])
def test_a_figure_of_all_has_as_many_decimals_wherever_a_card_has_it(
    results: Results, trained: tuple[int, int], decimals: int
) -> None:
    """Where the table leaves a decimal out, neither the words below it nor the card's numbers may have it."""
    parts = zip((ALL, TRAINED, EXTERNAL), ((66, 72), trained, (28, 30)), strict=True)
    sites = {name: with_test(results, name, *k_of_n).evaluation[FEDERATED][name] for name, k_of_n in parts}
    brier = sites[ALL].metrics | {"brier": Estimate(0.123456)}
    sites[ALL] = sites[ALL].model_copy(update={"metrics": brier})
    found = results.model_copy(update={"evaluation": {FEDERATED: sites}})
    card = make_card(found, None, {}, public=True).model_copy(update={"temperature": 1.5})
    assert card.judgement is not None
    assert card.judgement.metrics["brier"] == round(0.123456, decimals)
    assert f"{0.123456:.{decimals}f}." in " ".join(calibration(found, card))


def test_a_card_says_what_of_its_figures_is_not_private_only_where_it_is_so(results: Results) -> None:
    of = results.study.but({"aggregation.secure": True, "privacy.evaluation_epsilon": 9.0})
    exact = "Not private in any case: the counts and the sums over validation and test patients"
    noised = results.model_copy(update={"study": of})
    assert exact in text_of(results)
    assert exact in text_of(noised)  # of a simulation, which judges its test patients without noise
    said = text_of(noised.model_copy(update={"engine": DEPLOYED}))
    assert exact not in said
    assert "Not private in any case: how many patients and images there are; and whatever was tried" in said


def test_a_card_says_that_a_temperature_was_fitted_to_counts_with_noise(results: Results) -> None:
    card = make_card(results, None, {}).model_copy(update={"temperature": 1.5})
    noised = results.model_copy(
        update={"study": results.study.but({"aggregation.secure": True, "privacy.evaluation_epsilon": 9.0})}
    )
    for site in (results.evaluation, {}):  # also where the card has no figures below it
        given = {"evaluation": site}
        assert "counts with noise" in " ".join(calibration(noised.model_copy(update=given), card))
        assert "counts with noise" not in " ".join(calibration(results.model_copy(update=given), card))


def _written(found: int, of: int) -> str:
    low, high = proportion_interval(found, of)
    return f"{found / of:.3f} ({low:.2f} to {high:.2f})"


def test_the_notes_of_a_card_count_nobodys_images(results: Results) -> None:
    """All images of a class less those that the table shows are those of the hospital whose few it hides."""
    few = with_training(results, (40, 3), (60, 30))
    one, other = few.hospitals[0].name, few.hospitals[1].name
    shared = {(one, other): Shared(pairs=3, labels_disagree=1), (other, one): Shared(pairs=2, labels_disagree=0)}
    told = (
        said_of_classes(few.study, (100, 33), (0.665, 2.02)),
        *said_of_shared(shared),
        f"{one}: 4 files were refused.",
    )
    with_them = few.model_copy(update={"notes": (*few.notes, *told)})
    assert notes(with_them) == [*few.notes, SHARED]
    assert notes(few) == list(few.notes)


def test_a_small_number_of_patients_with_maps_follows_from_no_interval_of_the_others(results: Results) -> None:
    def rows(smaller: int, of: Results = results) -> list[str]:
        each = {name: MapCell(n, MapSums(n, n // 2, 2**19, 2**18, 2**18)) for name, n in (("A", 40), ("B", smaller))}
        study = results.study.model_copy(
            update={"evaluation": results.study.evaluation.model_copy(update={"maps": Maps(method="hires-cam")})}
        )
        found = figures_of_maps(study, each["A"] + each["B"], each)
        shown = maps(of.model_copy(update={"maps": found}))
        assert shown is not None
        return shown.splitlines()[2:]

    assert rows(20)[1].startswith("| A | 40 | 0.50 (0.35")
    everybody, first = rows(6)
    assert everybody.startswith("| all hospitals | – | 0.50 | ")  # its interval and A's would tell 46 and 40
    assert first.startswith("| A | – | 0.50 | ")
    assert rows(20, with_training(results, (4, 3)))[1].startswith("| A | – | 0.50 | ")  # 40 may be all that test at A


def test_noise_and_epsilon_do_not_tell_how_few_a_hospital_trained_on(results: Results) -> None:
    """The noise follows from the study file and the number of patients, so that each number has its own."""
    shown = privacy(with_training(results, (4, 3)))
    assert shown is not None
    spent = results.hospitals[0].privacy
    assert spent is not None
    for line, one in zip(shown.splitlines()[2:], results.hospitals, strict=True):  # of one it would follow from others'
        assert line == f"| {one.name} | – | {spent.delta:g} | – |"
    assert "–" not in str(privacy(results))


def test_the_card_counts_nobodys_images_in_its_alarms(results: Results) -> None:
    whole = results.evaluation[FEDERATED][ALL]
    never = whole.by_group[1].model_copy(update={"decided": 0, "found": 0})
    failed = whole.model_copy(update={"by_group": (whole.by_group[0], never)})
    said = alarms(results.model_copy(update={"evaluation": {FEDERATED: {ALL: failed}}}))
    assert said == ["The model never decides for “opacity”. Nobody should rely on it to find “opacity”."]
    (said_of_none,) = alarms(results.model_copy(update={"evaluation": {}}))
    assert "nothing is known" in said_of_none


def test_a_word_that_no_card_has_and_a_file_that_is_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text('intended_uses = "x"\n')
    with pytest.raises(StorageError, match=r'no key "intended_uses"; did you mean .intended_use.\?\n'):
        read_words(tmp_path / "card.toml")
    (tmp_path / "study.toml").write_text('study = "x"\ntask = "y"\n')
    with pytest.raises(StorageError, match=r'no key "study"; the keys are [^;]+; there is no key "task"\n'):
        read_words(tmp_path / "study.toml")  # which keys there are is said once
    with pytest.raises(StorageError, match="no such file"):
        read_words(tmp_path / "nowhere.toml")


def test_subgroups_stand_in_the_card_and_a_small_one_follows_from_no_number_beside_it(results: Results) -> None:
    whole = results.evaluation[FEDERATED][ALL]

    def rows(women: int, fewest: int = 10) -> list[str]:
        cells = tuple(
            SubgroupFigures(
                value=value, patients=patients, images=patients, metrics=whole.metrics, enough=True, fewest=fewest
            )
            for value, patients in (("M", 120), ("F", women))
        )
        sexes = Subgrouping(name="sex", patients=120 + women, smallest=5, cells=cells)
        shown = subgroups(results.model_copy(update={"subgroups": (sexes,)}))
        assert shown is not None
        return shown.splitlines()[2:]

    figures = f"{whole.value('auroc'):.2f} ("
    men, women = rows(10)
    assert men.startswith(f"| sex: M | 120 | {figures}")
    assert women.startswith(f"| sex: F | 10 | {figures}")
    men, women = rows(7)  # all 127 are in model.json
    assert men.startswith(f"| sex: M | – | {figures}")
    assert women == f"| sex: F | {FEW} | – | – | – | – |"
    men, women = rows(whole.images - 127)  # a hospital that did not tell apart its seven
    assert men.startswith(f"| sex: M | – | {figures}")
    assert women.startswith(f"| sex: F | – | {figures}")
    assert " to " not in "".join(rows(120, fewest=6))  # 5 of 6 found, 0.50 to 1.00, is of nobody but six


def test_a_subgroup_that_holds_all_patients_is_not_the_worst_of_several(results: Results) -> None:
    whole = results.evaluation[FEDERATED][ALL]

    def told_apart(by: str, *names: str) -> Subgrouping:
        cells = [
            SubgroupFigures(value=name, patients=40, images=40, metrics=whole.metrics, enough=True) for name in names
        ]
        return Subgrouping(name=by, patients=40 * len(names), smallest=5, cells=tuple(cells))

    unknown = (told_apart("age", "unknown"), told_apart("sex", "unknown"))
    assert said_of_worst(results.model_copy(update={"subgroups": unknown})) == []
    (said,) = said_of_worst(results.model_copy(update={"subgroups": (*unknown, told_apart("model", "A", "B"))}))
    assert "it does worst on model “A”" in said


def test_a_card_promises_no_flag_where_the_model_has_none_and_commands_can_be_copied_from_it(results: Results) -> None:
    usual = results.study.evaluation.model_copy(update={"usual": 0.95})
    asked = results.model_copy(update={"study": results.study.model_copy(update={"evaluation": usual})})
    with_none = make_card(asked, None, {}).model_copy(update={"unlike": None})
    text = markdown(asked, with_none, CardWords(), [ONNX], None)
    assert "it cannot tell for this model" in text
    assert says_unlike(asked.study) not in text
    flagged = markdown(asked, with_none.model_copy(update={"unlike": 1.5}), CardWords(), [ONNX], None)
    assert says_unlike(asked.study) in flagged
    assert escaped("--config_file _all_ __init__") == r"--config_file \_all\_ \_\_init\_\_"
