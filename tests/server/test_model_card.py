"""A model's card says what the run knows, hides what is few, and names what nobody has stated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wardround_common.errors import StorageError
from wardround_common.results import ALL, FEDERATED, Results, SubgroupFigures, Subgrouping
from wardround_common.results.parts import Part
from wardround_common.study.words import says_unlike
from wardround_server.report.card_words import UNSAID, CardWords, read_words
from wardround_server.report.example import example
from wardround_server.report.model_card import FEW, Signed, alarms, data, escaped, markdown, page, subgroups
from wardround_server.report.tables.subgroups import said_of_worst
from wardround_server.rounds.exported_model import make_card

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
    table = data(with_training(results, (40, 7), (4, 3)))
    assert table is not None
    first, second, *_, last = table.splitlines()[2:]
    assert first.endswith("| 47 | 47 | – | – |")
    assert second.endswith(f"| {FEW} | {FEW} | – | – |")
    assert re.search(r"All together \| – \| – \| 396 \| 246 \|$", last)  # of two that are hidden neither follows
    table = data(with_training(results, (40, 7)))
    assert table is not None
    assert re.search(r"All together \| [\d,]+ \| [\d,]+ \| – \| – \|$", table)


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
    with pytest.raises(StorageError, match='no key "intended_uses"; the keys are developer'):
        read_words(tmp_path / "card.toml")
    (tmp_path / "study.toml").write_text('study = "x"\ntask = "y"\n')
    with pytest.raises(StorageError, match=r'no key "study"; the keys are [^;]+; there is no key "task"\n'):
        read_words(tmp_path / "study.toml")  # which keys there are is said once
    with pytest.raises(StorageError, match="no such file"):
        read_words(tmp_path / "nowhere.toml")


def test_subgroups_stand_in_the_card_and_a_small_one_follows_from_no_number_beside_it(results: Results) -> None:
    whole = results.evaluation[FEDERATED][ALL]

    def rows(women: int) -> list[str]:
        cells = tuple(
            SubgroupFigures(value=value, patients=patients, images=patients, metrics=whole.metrics, enough=True)
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
