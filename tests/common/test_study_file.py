"""Whatever is wrong with a study file, the message names section, key, value and fix, and nothing else is raised."""

import os
import re
import tomllib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wardround_common.errors import StudyError
from wardround_common.strategies.registry import STRATEGY_KEYS
from wardround_common.study.file import Study, parse_canonical, parse_study, read_study
from wardround_common.study.template import example as usual
from wardround_common.study.template import study_text
from wardround_common.tasks.registry import TASKS

# Not what `study new` writes: its numbers may change, and these tests are not about them.
GOOD = """\
[study]
name = "good"
[task]
name = "classification"
classes = ["no-finding", "finding"]
[data]
modalities = ["MR"]
image_size = 64
intensity = "percentile"
channels = 1
[model]
network = "small-cnn"
norm = "group"
seed = 0
[training]
strategy = "fedavg"
rounds = 40
local_epochs = 1.0
batch_size = 32
optimiser = "sgd"
learning_rate = 0.05
schedule = "cosine"
momentum = 0.9
weight_decay = 0.0
augmentations = ["flip", "shift", "intensity"]
# class_weights = [1.0, 3.0]
# proximal_mu = 0.01
[privacy]
mechanism = "dp-sgd"
epsilon = 8.0
delta = 1e-05
clip_norm = 1.0
images_per_patient = 1
[aggregation]
min_hospitals = 3
secure = true
[evaluation]
validation = 0.15
test = 0.2
sensitivity = 0.9
"""

TASK = GOOD[GOOD.index("[task]") : GOOD.index("[data]")]
DP = GOOD[GOOD.index("mechanism") : GOOD.index("[aggregation]")]


def faults(*changes: tuple[str, str], text: str = GOOD) -> tuple[str, ...]:
    """List the faults of the good study after some changes to its text."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(StudyError) as caught:
        parse_study(text, where="good.toml")
    assert str(caught.value).startswith("good.toml: ")
    assert caught.value.exit_code == 3
    return caught.value.faults


def one_fault(*changes: tuple[str, str], text: str = GOOD) -> str:
    (fault,) = faults(*changes, text=text)
    return fault


def test_a_misspelt_key_is_one_fault_that_names_the_nearest_key() -> None:
    assert one_fault(("rounds =", "rouns =")) == "[training] rouns = 40: there is no such key; did you mean 'rounds'?"


def test_a_key_like_no_other_gets_the_list_of_keys() -> None:
    fault = one_fault(("[aggregation]", "[aggregation]\nxyzzy = 1"))
    assert fault.startswith("[aggregation] xyzzy = 1: there is no such key; the keys of [aggregation] are ")
    assert fault.endswith("update_clip, largest_weight, deadline_minutes, patience_minutes")


def test_a_misspelt_section_is_one_fault_that_names_the_nearest_section() -> None:
    assert (
        one_fault(("[evaluation]", "[evalution]"))
        == "[evalution]: there is no such section; did you mean [evaluation]?"
    )


def test_a_key_outside_its_section_is_sent_home() -> None:
    assert "below [training]" in one_fault(("[study]", "rounds = 3\n[study]"))
    assert "below [model]" in one_fault(("[study]", "[study]\nnetwork = 'resnet18'"))


def test_a_study_that_states_its_task_in_the_old_place_is_told_what_to_write() -> None:
    found = faults(('[task]\nname = "classification"', 'task = "classification"'))
    assert found == (
        '[study] task = "classification": the task is a section of its own; write a line [task] and below it '
        'name = "classification"',
        '[study] classes = ["no-finding", "finding"]: write this key below [task]',
    )


def test_a_task_that_is_not_installed_gets_those_that_are() -> None:
    fault = one_fault(('name = "classification"', 'name = "Clasification"'))
    assert fault.startswith("[task] name = \"Clasification\": it must be 'classification'")
    assert fault.endswith("did you mean 'classification'?")
    missing = one_fault(('name = "classification"', ""))
    assert missing == '[task] name: this key is missing, such as name = "classification"'
    assert "a line [task] with its keys below it" in one_fault(text="task = 3\n" + GOOD.replace(TASK, ""))


def test_an_unknown_network_gets_the_known_ones_and_the_nearest() -> None:
    fault = one_fault(('"small-cnn"', '"Small_CNN"'))
    assert fault.startswith("[model] network = \"Small_CNN\": it must be 'attention-unet', 'basic-unet', ")
    assert "did you mean 'small-cnn'?" in fault
    assert "only networks that it installed" in fault


def test_batch_normalisation_under_dp_is_taught_and_not_only_refused() -> None:
    fault = one_fault(('norm = "group"', 'norm = "batch"'))
    assert fault.startswith("[model] norm = 'batch': batch normalisation cannot be private.")
    assert "one patient changes every other patient's gradient" in fault
    assert "Write norm = 'group'" in fault


def test_batch_normalisation_without_dp_is_allowed() -> None:
    assert (
        parse_study(GOOD.replace(DP, 'mechanism = "none"\n').replace('norm = "group"', 'norm = "batch"')).model.norm
        == "batch"
    )


@pytest.mark.parametrize("value", ["0", "0.0", "-1", "-0.0"])
def test_an_epsilon_of_zero_or_less_says_that_nothing_could_be_trained(value: str) -> None:
    fault = one_fault(("epsilon = 8.0", f"epsilon = {value}"))
    assert fault.startswith(f"[privacy] epsilon = {value}: it must be greater than 0")
    assert "nothing can be trained" in fault


@pytest.mark.parametrize("value", ["inf", "nan", "1e999"])
def test_a_number_that_is_not_finite_is_refused(value: str) -> None:
    assert "it must be a finite number" in one_fault(("epsilon = 8.0", f"epsilon = {value}"))


@pytest.mark.parametrize(("old", "new"), [("delta = 1e-05", "delta = 0"), ("delta = 1e-05", "delta = 1")])
def test_delta_is_a_chance_between_zero_and_one(old: str, new: str) -> None:
    assert one_fault((old, new)).startswith(f"[privacy] {new}: it must be ")


def test_a_strategy_names_the_keys_that_it_needs_all_at_once() -> None:
    found = faults(('"fedavg"', '"fedadam"'))
    assert [fault.split(":")[0] for fault in found] == [
        f"[training] {key}" for key in ("beta_1", "beta_2", "server_learning_rate", "tau")
    ]
    assert f"such as {usual('training', 'tau')}" in found[-1]


def test_a_strategy_names_the_keys_that_it_does_not_use_and_who_would() -> None:
    fault = one_fault(("# proximal_mu", "proximal_mu"))
    assert "strategy 'fedavg' does not use this key (fedprox would); remove it" in fault


def test_adamw_does_not_use_momentum() -> None:
    assert one_fault(('"sgd"', '"adamw"')).startswith(
        "[training] momentum = 0.9: optimiser 'adamw' does not use this key"
    )


def test_dp_keys_without_dp_say_which_mechanism_uses_them() -> None:
    found = faults(('mechanism = "dp-sgd"', 'mechanism = "none"'))
    assert len(found) == 4
    assert found[0] == (
        "[privacy] epsilon = 8.0: mechanism = 'none' does not use this key; remove it, or write mechanism = 'dp-sgd'"
    )


def test_an_unknown_mechanism_gets_both_known_ones() -> None:
    fault = one_fault(('"dp-sgd"', '"dp_sgd"'))
    assert fault == "[privacy] mechanism = \"dp_sgd\": it must be 'dp-sgd' or 'none'; did you mean 'dp-sgd'?"


def test_every_fault_is_listed_at_once_even_where_two_sections_disagree() -> None:
    found = faults(
        ("rounds = 40", "rounds = 40.0"),
        ('"percentile"', '"percent"'),
        ('norm = "group"', 'norm = "batch"'),
        ("[study]", "[study]\nx = 1"),
    )
    assert len(found) == 4


def test_a_missing_key_comes_with_a_value_that_works() -> None:
    assert (
        one_fault(("rounds = 40\n", "\n"))
        == f"[training] rounds: this key is missing, such as {usual('training', 'rounds')}"
    )


def test_an_empty_file_names_every_section() -> None:
    found = faults(text="")
    needed = [name for name, field in Study.model_fields.items() if field.is_required()]
    assert [fault.split(":")[0] for fault in found] == [f"[{name}]" for name in needed]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rounds = 40", "rounds = 40.0", "a whole number, without a point or quotes, such as rounds = "),
        ("rounds = 40", "rounds = true", "a whole number"),
        ("rounds = 40", "rounds = 0", "at least 1"),
        ("rounds = 40", "rounds = 2026-01-01", "a whole number"),
        ("learning_rate = 0.05", "learning_rate = '0.05'", "a number, without quotes"),
        ('name = "classification"', "name = 1", "it must be 'classification'"),
        ('name = "good"', 'name = "Good Study"', "lower-case letters, digits and hyphens"),
        ('name = "good"', 'name = "../good"', "lower-case letters, digits and hyphens"),
        ('["no-finding", "finding"]', '"finding"', "a list in [ ], such as classes ="),
        ('["no-finding", "finding"]', '["finding"]', "at least 2 entries"),
        ('["no-finding", "finding"]', '["finding", "finding"]', "'finding' is listed more than once"),
        ('["no-finding", "finding"]', '["finding", ""]', "entry 2 = \"\": a class is a visible word"),
        ('["no-finding", "finding"]', '["finding", " x"]', "a class is a visible word"),
        ('["no-finding", "finding"]', '["finding", "a\\u202Eb"]', 'entry 2 = "a\\u202Eb": a class is a visible word'),
        ('["no-finding", "finding"]', "[1, 'finding']", "classes, entry 1 = 1: it must be text in quotes"),
        ('["MR"]', '["mr"]', "modalities in capitals"),
        ('["MR"]', '["MR", "MR"]', "more than once"),
        ('"flip", "shift"', '"flop", "shift"', "did you mean 'flip'?"),
        ("validation = 0.15", "validation = 0.8", "their sum must stay below 0.9"),
        ("# class_weights = [1.0, 3.0]", "class_weights = [1.0, 2.0, 3.0]", "3 weights for 2 classes; give one each"),
        ("[training]", "[[training]]", "one section, a line [training]"),
        ("rounds = 40", "rounds = 0x" + "9" * 5000, "[training]: a number has too many digits"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_quoted_and_told_what_it_must_be(old: str, new: str, words: str) -> None:
    assert words in one_fault((old, new))


@pytest.mark.parametrize(
    ("line", "most", "reason"),
    [
        ("focal_gamma = 99.0", "10", "(1 - p)^gamma"),
        ("class_weights = [1.0, 1e9]", "1000", "how many times a class counts"),
        ("server_learning_rate = 1e30", "1000", "the hospitals' mean step"),
        ("ditto_lambda = 1e5", "1000", "further than to the shared model"),
    ],
)
def test_a_number_beyond_any_meaning_is_refused_with_the_most_and_the_reason(line: str, most: str, reason: str) -> None:
    said = " ".join(faults(("weight_decay = 0.0", f"weight_decay = 0.0\n{line}")))
    assert f"it must be at most {most} (" in said
    assert reason in said


def test_a_decay_that_leaves_nothing_of_a_weight_is_refused_for_the_rate_that_it_stands_with() -> None:
    said = one_fault(("weight_decay = 0.0", "weight_decay = 20.0"))
    assert "with learning_rate = 0.05 a step would take 1 times each weight off itself" in said
    assert "at most 1000" in one_fault(("learning_rate = 0.05", "learning_rate = 1e4"))


OFFERED_WITH: dict[str, dict[str, object]] = {
    "bag_size": {"data.record": "patient"},
    "pooling": {"data.record": "patient"},
    "personal": {"evaluation.keep": "last"},
    "ditto_lambda": {"training.personal": "ditto", "evaluation.keep": "last"},
    "average": {"evaluation.keep": "mean-of-last"},
    "momentum": {"training.optimiser": "sgd"},
}
"""Other keys that an offered one needs, as its line in the file says."""


def faults_of(text: str, settings: dict[str, object]) -> tuple[str, ...]:
    try:
        parse_study(text, settings)
    except StudyError as error:
        return tuple(error.faults)
    return ()


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_new_study_offers_no_key_that_its_task_refuses(task: str) -> None:
    text = study_text("a", task=task, dp=False)
    sections = re.findall(r"^\[(\w+)\]\n((?:(?!^\[).*\n?)*)", text, re.MULTILINE)
    offered = [(at, *line) for at, body in sections for line in re.findall(r"^# ([a-z_]+) = (.+)$", body, re.MULTILINE)]
    tried = [one for one in offered if one[0] not in ("privacy", "tracking") and one[1] not in STRATEGY_KEYS]
    assert len(tried) > 10
    for section, key, value in tried:
        settings = {f"{section}.{key}": tomllib.loads(f"x = {value}")["x"], **OFFERED_WITH.get(key, {})}
        said = faults_of(text, settings)
        assert not [fault for fault in said if f"task '{task}'" in fault], key
        assert not (said and key in OFFERED_WITH), said


def test_a_section_that_is_a_single_value_is_told_so() -> None:
    fault = one_fault(("[privacy]\n" + DP, ""), text="privacy = 'none'\n" + GOOD)
    assert fault == "[privacy]: this must be one section, a line [privacy] with its keys below it"


def test_a_long_value_is_cut_and_control_characters_never_reach_the_terminal() -> None:
    fault = one_fault(('name = "good"', 'name = "\\u001b[31m' + "x" * 10_000 + '"'))
    assert fault.isprintable()
    assert len(fault) < 250
    fault = one_fault(("rounds = 40", 'rounds = 40\n"\\u001b[2Jx" = 1'))
    assert fault.isprintable()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rounds = 40", "rounds = = 40"),
        ('network = "small-cnn"', "network = small-cnn"),
        ("rounds = 40", "seed = 1\nseed = 1"),
        ("[training]", "[training"),
    ],
)
def test_text_that_is_not_toml_names_the_line_and_quotes_it(old: str, new: str) -> None:
    line = GOOD[: GOOD.index(old)].count("\n") + new.count("\n") + 1
    fault = one_fault((old, new))
    assert fault.startswith(f"line {line}: this is not TOML: ")
    assert fault.endswith(f": {new.splitlines()[-1]}")


def test_text_that_ends_too_early_says_so() -> None:
    assert one_fault(text='[study]\nname = """').startswith("line 2: this is not TOML: ")


@given(st.text(max_size=200) | st.text("[]{}=.\"'#\n abc123_-", max_size=200))
@example("a = " + "[" * 20_000)
@example("a = " + "{a=" * 20_000)
@example("a" + ".a" * 1_000 + " = 1")
@example("a = " + "9" * 5_000)
@example("[training]\nrounds = " + "9" * 4_000)
@example("privacy = 3")
@example("[none]\n[dp-sgd]")
@example("[[privacy]]")
@example("[privacy]\nmechanism = {a = 1}")
@example("[privacy]\nmechanism = ['none']")
@example("[training]\nclass_weights = [[1], {a = 1}]")
def test_no_text_raises_anything_but_a_study_error(text: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(text)
    assert all(fault.isprintable() for fault in caught.value.faults)


@given(st.sampled_from([line for line in GOOD.splitlines() if " = " in line and line[0] != "#"]), st.data())
def test_no_wrong_value_raises_anything_but_a_study_error(line: str, data: st.DataObject) -> None:
    value = data.draw(
        st.sampled_from(
            ["-1", "0", "1e308", "1e999", "nan", "''", "'x'", "[]", "[[]]", "{}", "{a = 1}", "true", "1979-05-27"],
        )
        | st.sampled_from(
            ["07:32:00", "99999999999999999999999", "['']", "[1, 'x', {}]", "0x" + "9" * 4000],
        )
    )
    try:
        parse_study(GOOD.replace(line, f"{line.split(' = ')[0]} = {value}"))
    except StudyError as error:
        assert all(fault.isprintable() for fault in error.faults)  # noqa: PT017  # some of the values are right


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"nothing\.toml: there is no such file\n.*study new"):
        read_study(tmp_path / "nothing.toml")


def test_a_folder_is_not_a_study_file(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="this is a folder"):
        read_study(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_names_permissions(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD)
    path.chmod(0)
    with pytest.raises(StudyError, match="permission denied"):
        read_study(path)


def test_text_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(b"# first\n# caf\xe9\n")
    with pytest.raises(StudyError, match="line 2: this is not UTF-8 text"):
        read_study(path)


def test_a_byte_order_mark_is_not_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert read_study(path) == parse_study(GOOD)


def test_what_to_type_after_a_fault_names_the_file_and_only_a_file(tmp_path: Path) -> None:
    path = tmp_path / "two words.toml"
    path.write_text(GOOD.replace("rounds = 40", "rounds = 0"), encoding="utf-8")
    with pytest.raises(StudyError) as of_a_file:
        read_study(path)
    assert of_a_file.value.do == f"Correct the file, then run: wardround study check '{path}'"
    with pytest.raises(StudyError) as of_a_text:
        parse_study(path.read_text(encoding="utf-8"))
    assert "wardround study check" not in of_a_text.value.do
    with pytest.raises(StudyError) as of_a_message:
        parse_canonical(parse_study(GOOD).canonical().replace(b'"rounds":40', b'"rounds":0'))
    assert of_a_message.value.faults
    assert not of_a_message.value.do


def test_a_file_of_a_gigabyte_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    with path.open("wb") as file:
        file.truncate(2**30)  # sparse: it takes no space
    tracemalloc.start()
    try:
        with pytest.raises(StudyError, match="larger than 1024 KiB"):
            read_study(path)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()
