"""What `study new` writes is a study, and what `study show` says is what the study does."""

import re
import tomllib

import pytest

from wardround_common.errors import StudyError
from wardround_common.strategies.registry import STRATEGIES
from wardround_common.study.faults import LESSONS
from wardround_common.study.file import Study, parse_study
from wardround_common.study.roster import Listed
from wardround_common.study.template import DEFAULTS, OPTIONAL, REASONS, SECTION_REASONS, study_text
from wardround_common.study.words.describe import describe
from wardround_common.study.words.work import NORMS


def said(study: Study) -> str:
    return "\n".join(f"{passage.heading}\n" + "\n".join(passage.sentences) for passage in describe(study))


def changed(old: str, new: str, *, dp: bool = True) -> Study:
    text = study_text("a", dp=dp)
    assert old in text
    return parse_study(text.replace(old, new))


@pytest.mark.parametrize("dp", [True, False])
def test_what_new_writes_is_a_valid_study(dp: bool) -> None:
    study = parse_study(study_text("lung-1", dp=dp))
    assert study.study.name == "lung-1"
    assert study.privacy.mechanism == ("dp-sgd" if dp else "none")


def test_a_study_says_that_a_batch_goes_through_the_network_in_parts() -> None:
    of = changed("# micro_batch = 8", "micro_batch = 8")
    assert "At most 8 images go through the network at once, and a step is that of its whole batch" in said(of)
    assert "At most 8 patients go through" in said(of.but({"data.record": "patient"}))


def test_a_study_says_in_which_order_it_reads_images_and_that_dates_stay() -> None:
    plain = parse_study(study_text("a")).but({"data.record": "patient"})
    assert "one after the other" not in said(plain)
    told = said(plain.but({"model.pooling": "recurrent"}))
    assert "A patient whose files do not state this order is left out. Dates, places and numbers stay" in told
    assert "examinations by date" not in said(plain.but({"data.record": "series", "model.pooling": "recurrent"}))


@pytest.mark.parametrize("dp", [True, False])
def test_every_key_is_written_with_its_reason_just_above(dp: bool) -> None:
    lines = study_text("a", dp=dp).splitlines()
    for (section, key), reason in REASONS.items():
        section_start = lines.index(f"[{section}]")
        at = next(i for i in range(section_start, len(lines)) if lines[i].removeprefix("# ").startswith(f"{key} = "))
        assert lines[at - 1] == f"# {reason}"


def test_reasons_defaults_and_lessons_name_the_keys_of_the_study_and_no_others() -> None:
    texts = (study_text("a"), study_text("a", dp=False), study_text("a", distributed=True))
    # Else they would not be in the dump.
    later = "every|external|mlflow|deadline_minutes|patience_minutes|threads|vote_margin|clip_statements|body_parts"
    later += "|subgroups|own_loss|record|bag_size|variables|pooling|recalibrated|levels|withheld|steps|wandb"
    later += "|micro_batch"
    uncommented = re.compile(f"^# (?=({later}) = )", re.MULTILINE)
    texts = tuple(
        uncommented.sub("", text).replace("# smallest_subgroup = 10", "smallest_subgroup = 20") for text in texts
    )
    coded = texts[0].replace("codes = []", 'codes = ["", "SCT 52988006 Lesion"]')
    shift = study_text("a", dp=False).replace('# personal = "norm"', 'personal = "ditto"').replace('"best"', '"last"')
    more = "sampling|focal_gamma|count_classes|normalisation|ditto_lambda"
    rare = re.sub(f"^# (?=({more}) =)", "", shift, flags=re.MULTILINE)
    mapped = study_text("a", dp=False).replace("# maps =", "maps =")
    steps = texts[0].replace("local_epochs = 1.0", "local_steps = 20")
    noisy = re.sub("^# (?=normalisation)", "", study_text("a"), flags=re.MULTILINE)
    tracked = study_text("a").replace("secure = true", "secure = false").replace("# mlflow =", "mlflow =")
    tracked = tracked.replace("# hospitals = false", "hospitals = true")
    judged = re.sub("^usual = .*$", "", study_text("a"), flags=re.MULTILINE).replace("# evaluation_", "evaluation_")
    best, mean = coded.replace("# patience =", "patience ="), texts[0].replace("# average =", "average =")
    parsed = [
        parse_study(text)
        for text in (
            *texts,
            rare,
            mapped,
            tracked,
            steps,
            noisy,
            judged,
            best,
            mean.replace('keep = "best"', 'keep = "mean-of-last"'),
        )
    ]
    keys = {(s, k) for study in parsed for s, table in study.model_dump().items() for k in table}
    assert set(REASONS) == keys
    assert {(s, k) for tables in (DEFAULTS, OPTIONAL) for s, table in tables.items() for k in table} == keys
    assert set(LESSONS) <= keys | {("roster", key) for key in Listed.model_fields}
    assert set(SECTION_REASONS) == set(Study.model_fields)


def test_a_line_of_the_template_fits_a_screen() -> None:
    assert max(len(line) for line in study_text("a").splitlines()) <= 120


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_uncommenting_the_keys_of_a_strategy_gives_a_valid_study(strategy: str) -> None:
    text = study_text("a").replace(f'strategy = "{DEFAULTS["training"]["strategy"]}"', f'strategy = "{strategy}"')
    for key in STRATEGIES[strategy].keys:
        text = text.replace(f"# {key.name} = ", f"{key.name} = ")
    if STRATEGIES[strategy].variates:
        text = text.replace("momentum = 0.9", "momentum = 0.0").replace("local_epochs = 1.0", "local_steps = 20")
        text = text.replace("# largest_weight = 2000", "largest_weight = 1")
    assert parse_study(text).training.strategy == strategy


def test_the_written_file_says_the_defaults_and_nothing_else() -> None:
    assert tomllib.loads(study_text("my-study")) == {section: dict(keys) for section, keys in DEFAULTS.items()}


def test_every_strategy_and_norm_has_words() -> None:
    assert all(each.words and (each.words_of_a_step or each.not_of_a_step) for each in STRATEGIES.values())
    assert set(NORMS) == {"group", "instance", "batch"}


def test_show_says_what_exact_sums_tell_of_a_validation_patient() -> None:
    """Masked or not, since it is read off the sum: docs/privacy.md, section 3, has figures."""
    masked = parse_study(study_text("a"))
    for study in (masked, masked.but({"aggregation.secure": False}), parse_study(study_text("a", distributed=True))):
        assert "can find out whether the patient is among those who are summed and with which label" in said(study)
        assert "([evaluation] every, levels, [privacy] evaluation_epsilon)" in said(study)
        levelled = said(study.but({"evaluation.levels": True}))
        assert "Scores are counted in few levels. The sums are exact all the same" in levelled
        for words in (said(study), levelled):
            assert "a model made up for one image finds both out by one evaluation, of however many patients" in words
    for task, told in (("findings", "with which findings"), ("risk", "what became of them")):
        assert f"is among those who are summed and {told}, masked or not" in said(
            parse_study(study_text("a", task=task))
        )
    levelled = parse_study(study_text("a", task="risk")).but({"evaluation.levels": True})
    assert "is among those who are summed and what became of them, masked or not" in said(levelled)
    for task, marked in (("segmentation", "outlined"), ("detection", "marked")):
        words = said(parse_study(study_text("a", task=task)))
        assert f"has an image of a patient and what is {marked} in it, can guess better than by chance" in words
        assert f"whether the patient is among them, and whether anything is {marked} in it." in words
        assert "levels" not in words
        assert "with which label" not in words
    assert "with which label" not in said(parse_study(study_text("a", task="generation", dp=False)))
    made = said(parse_study(study_text("a", task="generation", dp=False)))
    assert "of however many patients, whether the patient is among them." in made
    for task, whose in (("grades", "which grade is theirs"), ("measurement", "which quarter of the range is theirs")):
        few = said(parse_study(study_text("a", task=task)))
        assert "can guess better than by chance whether the patient is among those who are summed" in few
        assert whose in few
        assert "evaluation_epsilon" in few
        assert "mostly by one" not in few


def test_show_calls_what_a_patient_contributes_what_it_is() -> None:
    """A record of all of a patient's images is clipped as one, and of volumes patches are drawn."""
    images = parse_study(study_text("a"))
    records = images.but({"data.record": "patient", "data.bag_size": 8})
    patches = parse_study(study_text("a", task="segmentation", own={"task": {"dims": 3}}))
    for study, one, several in (
        (images, "image", "images"),
        (images.but({"data.record": "slice"}), "image", "images"),
        (records, "record", "records"),
        (patches, "patch", "patches"),
    ):
        words = said(study)
        assert f"a sampled patient contributes one {one}, clipped" in words
        assert f"makes 1 pass over its training {several} with" in words
        assert f"the number of training {several}, and how many numbers" in words
        assert f"the mean over up to 4 {several}, clipped" in said(study.but({"privacy.images_per_patient": 4}))
    plain = parse_study(study_text("a", dp=False)).but({"data.record": "patient", "data.bag_size": 8})
    assert "16 records per step" in said(plain)


def test_show_says_what_a_coordinator_learns_by_made_up_sums_of_features() -> None:
    asked = parse_study(study_text("a")).but({"evaluation.usual": 0.95})
    told = "makes up the first ones learns from the histogram whether one image is among them"
    assert told in said(asked)
    assert told not in said(asked.but({"evaluation.usual": None}))


def test_show_says_which_sums_are_one_hospitals_own_although_they_are_masked() -> None:
    plain = parse_study(study_text("a")).but({"data.record": "patient"})
    variables = [{"name": "psa", "range": [0, 100]}]
    asked = plain.but({"data.variables": variables, "evaluation.withheld": True})
    assert "Where one hospital alone has an input, the difference of the two sums is its own" in said(asked)
    assert "Where one hospital alone can fit" in said(plain.but({"evaluation.recalibrated": True}))
    assert "the difference of the two sums" not in said(plain)
    by_sex = parse_study(study_text("a")).but({"evaluation.subgroups": [{"by": "sex"}]})
    assert "A subgroup that one hospital alone tells is its own, masked or not" in said(by_sex)
    mapped = parse_study(study_text("a")).but({"evaluation.maps": {"method": "hires-cam"}})
    assert "What one hospital alone sends is its own, masked or not" in said(mapped)


def test_show_says_plainly_whether_the_coordinator_reads_each_update() -> None:
    for dp in (True, False):
        text = said(parse_study(study_text("a", dp=dp)))
        assert "Sums over at least 3 hospitals" in text
        assert "By leaving one out of some rounds it can compare sums" in text
        assert "A part of a sum to which one hospital alone has something to give" in text
        text = said(parse_study(study_text("a", dp=dp).replace("secure = true", "secure = false")))
        assert "Sums are not secure: the coordinator reads each hospital's update" in text


def test_show_says_what_epsilon_means_and_what_it_does_not_cover() -> None:
    text = said(changed(f"epsilon = {DEFAULTS['privacy']['epsilon']}", "epsilon = 2.0"))
    assert "epsilon 2 and delta " in text
    assert "7.4 times more certain" in text
    assert "It does not cover the counts and the evaluation sums, which are exact" in text


def test_show_says_that_a_loss_without_noise_leaves_only_without_dp() -> None:
    assert "the loss, and how many" not in said(parse_study(study_text("a")))
    assert ", the loss, and how many" in said(parse_study(study_text("a", dp=False)))
    for dp in (True, False):
        text = said(parse_study(study_text("a", dp=dp).replace("secure = true", "secure = false")))
        assert ("and the mean loss." in text) != dp


def test_show_survives_an_epsilon_beyond_any_meaning() -> None:
    text = said(changed(f"epsilon = {DEFAULTS['privacy']['epsilon']}", "epsilon = 1e300"))
    assert "almost without bound" in text


def test_show_without_dp_says_that_images_may_be_reconstructed_and_never_speaks_of_noise_added() -> None:
    text = said(parse_study(study_text("a", dp=False)))
    assert "There is no differential privacy" in text
    assert "may reconstruct some of its images" in text
    assert "noised" not in text


@pytest.mark.parametrize(
    ("task", "trained", "kept", "part"),
    [
        ("measurement", "tell the gland in %, between 5 and 20, in MR", "mean absolute error", "for validation and"),
        ("grades", "one of '0', '1', '2' and '3' in this order, in MR", "weighted kappa", "for validation and"),
        ("findings", "likely 'mass' and 'calcification' are to be there, each by itself, in MR", "AUROC", "(sensitiv"),
        ("detection", "draw a box around each 'lesion' in MR", "AP at IoU 0.1", "(at most 1 false positive an image)"),
    ],
)
def test_show_says_of_each_task_what_is_learnt_what_is_best_and_what_validation_is_for(
    task: str, trained: str, kept: str, part: str
) -> None:
    shown = said(parse_study(study_text("a", task=task, dp=False)))
    assert trained in shown
    assert f"that of the round with the best {kept} over all" in shown
    assert part in shown


def test_show_names_all_classes_of_a_study_with_many() -> None:
    study = changed('["no-finding", "finding"]', '["a", "b", "c"]')
    assert "to tell apart 'a', 'b' and 'c' in" in said(study)


def test_show_says_how_long_is_waited_and_that_what_is_late_stays_spent() -> None:
    usual = said(parse_study(study_text("a")))
    assert "still at work 1 day after a round was asked is late" in usual
    assert "its answer is dropped. Its privacy cost still counts." in usual
    assert "silent for 10 minutes is no longer waited for once enough have answered" in usual
    other = said(changed("# deadline_minutes = 240.0", "deadline_minutes = 90.0", dp=False))
    assert "still at work 1.5 hours after" in other
    assert "still counts" not in other


def test_waiting_as_long_as_usual_is_the_same_study_and_longer_is_another() -> None:
    usual = parse_study(study_text("a"))
    assert changed("# deadline_minutes = 240.0", "deadline_minutes = 1440.0").digest() == usual.digest()
    for key, value in (("deadline", 240.0), ("patience", 30.0)):
        line = f"{key}_minutes = {value}"
        assert changed(f"# {line}", line).digest() != usual.digest()
    with pytest.raises(StudyError, match="one lost message would count as a lost hospital"):
        changed("# patience_minutes = 30.0", "patience_minutes = 0.1")


def test_show_names_who_only_evaluates_what_leaves_there_and_that_it_costs_nothing() -> None:
    said = " ".join(s for p in describe(changed("# external =", "external =")) for s in p.sentences)
    assert "Hospital D only evaluates: the model is never trained on patients there" in said
    assert "From Hospital D: the names and shapes and the key for secure sums, once" in said
    assert "Nothing is spent at Hospital D" in said
    assert "summed together with those of the hospitals that train" in said
