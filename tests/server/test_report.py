"""The report stands alone, leaves no hole, and shows hostile words as words."""

from __future__ import annotations

import functools
import html.parser
import json
import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from wardround_common.errors import StorageError
from wardround_common.results import Results
from wardround_server.report import write_report
from wardround_server.report.example import example, example_study
from wardround_server.report.tables.course import kept, settings
from wardround_server.report.write import render

HOSTILE = "<script>alert(1)</script>\" onload='x' $a_1$ {{ 7*7 }} &amp; </title></style>"
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(html.parser.HTMLParser):
    """A page as the elements and words that a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def bare(rounds: int = 0) -> Results:
    """Results of which nothing is known but who took part."""
    full = example(hospitals=2, baselines=False, private=False)
    document = json.loads(full.to_json()) | {"evaluation": {}, "notes": [], "versions": {}}
    document["rounds"] = document["rounds"][:rounds]
    document["hospitals"] = [{"name": h["name"]} for h in document["hospitals"]]
    return Results.from_json(json.dumps(document))


VARIANTS = {
    "private": lambda: example(hospitals=3),
    "open": lambda: example(hospitals=2, private=False),
    "many classes": lambda: example(hospitals=2, classes=5),
    "no baselines": lambda: example(hospitals=2, baselines=False),
    "one class": lambda: example(hospitals=2, one_class=True),
    "one hospital": lambda: example(hospitals=1),
    "many hospitals": lambda: example(hospitals=30, baselines=False),
    "bare": bare,
    "one round": lambda: bare(1),
}


@functools.cache
def drawn(variant: str) -> str:
    """Draw a page once for all tests: it takes more than a second."""
    return render(VARIANTS[variant]())


LARGE = ("many classes", "many hospitals")  # two seconds each


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in VARIANTS])
def text(request: pytest.FixtureRequest) -> str:
    return drawn(request.param)


def test_the_page_asks_for_nothing_and_runs_nothing(text: str) -> None:
    page = Page(text)
    for tag in ("script", "link", "iframe", "object", "embed", "img", "image", "form"):
        assert not page.all(tag)
    for name, attributes in page.elements:
        assert not any(key.startswith("on") or key == "src" for key in attributes), name
        assert (attributes.get("xlink:href") or "#").startswith("#")
        assert (attributes.get("href") or "#").startswith("#")
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert "@import" not in text


def test_every_element_is_closed_and_every_id_is_its_own(text: str) -> None:
    page = Page(text)
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_pictures_and_tables_can_be_read_out(text: str) -> None:
    page = Page(text)
    assert page.all("html")[0]["lang"] == "en"
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert svg["aria-label"]
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(th["scope"] in ("row", "col") for th in page.all("th"))
    assert len(page.all("h1")) == 1


def test_no_hole_no_nan_and_no_none_is_shown(text: str) -> None:
    words = " ".join(Page(text).words)
    assert not re.search(r"\b(nan|None|inf|Undefined)\b", words)
    assert not re.search(r"<section[^>]*>\s*<h2>[^<]*</h2>\s*(<p[^>]*>[^<]*</p>\s*)?</section>", text)


def test_the_page_is_small(text: str) -> None:
    assert len(text.encode()) < 1_500_000


@pytest.mark.parametrize("variant", ["no baselines", pytest.param("many classes", marks=pytest.mark.slow)])
def test_the_same_results_give_the_same_page(variant: str) -> None:
    assert render(VARIANTS[variant]()) == drawn(variant)


def test_a_page_follows_light_and_dark(text: str) -> None:
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    pictures = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert not any(re.search(r"(fill|stroke): #", svg) for svg in pictures)


def test_hostile_words_are_shown_as_words() -> None:
    document = json.loads(example(hospitals=2).to_json())
    named = json.dumps(document).replace("St Anselm", "@@")
    document = json.loads(named.replace("@@", json.dumps(HOSTILE)[1:-1]))
    document["run"] = document["engine"] = HOSTILE
    document["devices"], document["notes"] = [HOSTILE], [HOSTILE]
    document["versions"] = {HOSTILE: HOSTILE, "wardround": HOSTILE}
    document["hospitals"][0]["scanners"] = [HOSTILE]
    document["study"]["task"]["classes"] = ["normal", HOSTILE]
    study = example_study().model_validate_json(json.dumps(document["study"]))
    document["study_digest"] = study.digest()
    text = render(Results.from_json(json.dumps(document)))
    page = Page(text)
    assert page.open == []
    assert not page.all("script")
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    assert "<script" not in text.lower()
    words = "".join(page.words)
    assert words.count(HOSTILE) > 10  # told apart from what a template or a browser would make of it
    assert any("<script>alert(1)</script>\" onload='x'" in (svg["aria-label"] or "") for svg in page.all("svg"))
    assert any("$a_1$" in word or "<script>alert(1)</script>" in word for word in page.words)


def test_names_of_any_script_are_drawn() -> None:
    made = example(hospitals=2, baselines=False, private=False)
    text = render(Results.from_json(made.to_json().replace("St Anselm", "東京病院 مستشفى")))
    assert "東京病院 مستشفى · " in "".join(Page(text).words)


def test_the_report_and_its_numbers_are_written_together(tmp_path: Path) -> None:
    made = bare(1)
    page = write_report(made, tmp_path / "runs" / "x")
    assert page == tmp_path / "runs" / "x" / "report.html"
    assert Results.from_json((page.parent / "results.json").read_text(encoding="utf-8")) == made
    assert sorted(p.name for p in page.parent.iterdir()) == ["report.html", "results.json"]
    write_report(made, page.parent)


def test_a_report_says_that_it_is_of_no_medical_device_and_of_whom_its_figures_hold() -> None:
    """A page of figures is passed on without the model's card, which said so alone."""
    words = " ".join("".join(Page(render(bare(1))).words).split())
    assert "Not a medical device." in words
    assert "at another hospital they can be worse" in words


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_left_behind(tmp_path: Path) -> None:
    made = bare()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        write_report(made, tmp_path / "file")
    (tmp_path / "taken" / "report.html").mkdir(parents=True)
    with pytest.raises(StorageError, match="taken"):
        write_report(made, tmp_path / "taken")
    assert sorted(p.name for p in (tmp_path / "taken").iterdir()) == ["report.html", "results.json"]


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    before = dict(mpl.rcParams)
    render(bare(2))
    assert dict(mpl.rcParams) == before


def test_a_command_that_draws_nothing_does_not_load_matplotlib() -> None:
    code = "import sys, wardround_server.report as r; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_privacy_the_page_says_so_and_has_no_epsilon() -> None:
    text = drawn("open")
    assert 'id="privacy"' not in text
    assert "without differential privacy" in text
    assert 'id="privacy"' in drawn("no baselines")


def test_without_baselines_nothing_is_compared() -> None:
    text = drawn("no baselines")
    assert "Is federation worth it?" not in text
    assert not re.search(r"hospital alone|is compared|pooled", " ".join(Page(text).words), flags=re.IGNORECASE)


def test_a_hospital_of_one_class_has_a_reason_for_its_missing_auroc() -> None:
    assert "no number: all images are of one class" in drawn("one class")


def test_a_round_that_was_given_up_leaves_gaps_and_no_fault() -> None:
    document = json.loads(example(hospitals=2, baselines=False, private=True).to_json())
    for place in (0, len(document["rounds"]) - 1):
        document["rounds"][place] |= {"answered": [], "training_loss": None, "validation_loss": None}
        document["rounds"][place] |= {"headline": {"metric": "auroc", "value": None}, "epsilons": {}, "absent": []}
    page = Page(render(Results.from_json(json.dumps(document))))
    assert "nan" not in " ".join(page.words).lower().split()
    assert page.open == []


def test_one_round_of_one_epoch_is_written_in_the_singular() -> None:
    results = example(private=False, hospitals=1, baselines=False)
    once = results.study.training.model_copy(update={"rounds": 1, "local_epochs": 1.0})
    of = results.model_copy(update={"study": results.study.model_copy(update={"training": once})})
    (said,) = [row[1].text for row in settings(of).rows if row[0].text == "Training"]
    assert re.search(r", 1 round, 1 local epoch, batches of \d+$", said)


def test_the_report_says_which_series_and_variables_a_model_of_several_inputs_is_told() -> None:
    results = example(private=False, hospitals=1, baselines=False)
    changes = {
        "record": "patient",
        "series": [{"role": "flair"}, {"role": "t1"}],
        "variables": [{"name": "age", "range": [0.0, 100.0]}],
    }
    of = results.study.but({f"data.{key}": value for key, value in changes.items()})
    rows = {str(row[0].text): row[1] for row in settings(results.model_copy(update={"study": of})).rows}
    assert rows["Series told apart"].text == "flair and t1"
    assert rows["Told besides images"].text == "age (the column 'age': 0 to 100)"


def test_a_run_that_people_ended_early_is_not_said_to_have_run_out_of_patience() -> None:
    whole = example(hospitals=2, baselines=False)
    evaluation = whole.study.evaluation.model_copy(update={"keep": "best", "patience": 5})
    of = whole.study.model_copy(update={"evaluation": evaluation})
    early = "ended after 5 evaluations without a better one"
    for rounds, said in ((6, False), (8, True)):
        cut = whole.model_copy(update={"study": of, "rounds": whole.rounds[:rounds], "kept_rounds": (3,)})
        assert (early in kept(cut)) is said
