"""Equal studies have equal digests, different ones have not, and the digest stays what it was."""

import copy
import hashlib
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples import study
from wardround_common.errors import StudyError
from wardround_common.strategies.registry import STRATEGIES
from wardround_common.study.file import LARGEST_FILE_BYTES, Study, parse_canonical, parse_study
from wardround_common.study.template import study_text, toml_value

VECTOR_TOML = """
[study]
name = "vector-1"
[task]
name = "classification"
classes = ["healthy", "tumeur cérébrale"]
[data]
modalities = ["MR"]
image_size = 64
intensity = "percentile"
[model]
network = "small-cnn"
[training]
strategy = "fedprox"
rounds = 40
local_epochs = 1
batch_size = 32
optimiser = "sgd"
learning_rate = 0.05
proximal_mu = 1e-2
[privacy]
mechanism = "dp-sgd"
epsilon = 8
delta = 0.00001
clip_norm = 1.0
[aggregation]
min_hospitals = 3
secure = true
[evaluation]
validation = 0.15
test = 0.2
"""

# Written by hand from the rules in docs/adr/0001, not by the code under test.
VECTOR_CANONICAL = (
    '{"aggregation":{"largest_weight":null,"min_hospitals":3,"ring_bits":null,"secure":true,"threshold":null,'
    '"update_clip":null},'
    '"data":{"channels":1,"image_size":64,"intensity":"percentile","modalities":["MR"]},'
    '"evaluation":{"sensitivity":0.9,"test":0.2,"validation":0.15},'
    '"model":{"network":"small-cnn","norm":"group","seed":0},'
    '"privacy":{"clip_norm":1.0,"delta":1e-05,"epsilon":8.0,"images_per_patient":1,"mechanism":"dp-sgd"},'
    '"study":{"name":"vector-1"},'
    '"task":{"classes":["healthy","tumeur cérébrale"],"name":"classification"},'
    '"training":{"augmentations":[],"batch_size":32,"beta_1":null,"beta_2":null,"class_weights":null,'
    '"learning_rate":0.05,"local_epochs":1.0,"momentum":0.0,"optimiser":"sgd","proximal_mu":0.01,"rounds":40,'
    '"schedule":"constant","server_learning_rate":null,"server_momentum":null,"strategy":"fedprox","tau":null,'
    '"weight_decay":0.0}}'
)
VECTOR_DIGEST = "fd3bf6e435c642298143f6369cd3dcd42c667cc7cd65aedfb730030279c2a0d1"


def test_the_digest_is_that_of_the_hand_written_canonical_form() -> None:
    study = parse_study(VECTOR_TOML)
    assert study.canonical().decode() == VECTOR_CANONICAL
    by_hand = hashlib.sha256(b"wardround study 1\n" + VECTOR_CANONICAL.encode()).hexdigest()
    assert study.digest() == by_hand == VECTOR_DIGEST


def fractions(most: float = 0.44) -> st.SearchStrategy[float]:
    return st.floats(min_value=1e-6, max_value=most)


def amounts() -> st.SearchStrategy[float]:
    return st.one_of(st.floats(min_value=1e-300, max_value=1e300), st.integers(1, 100).map(float))


def rates() -> st.SearchStrategy[float]:
    return st.one_of(st.floats(min_value=1e-300, max_value=1000), st.integers(1, 100).map(float))


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the tables of a valid study, optional keys there or not."""
    words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
    classes = draw(st.lists(words, min_size=2, max_size=4, unique_by=lambda word: unicodedata.normalize("NFC", word)))
    strategy = draw(st.sampled_from(sorted(STRATEGIES)))
    training: dict[str, Any] = {
        "strategy": strategy,
        "rounds": draw(st.integers(1, 100_000)),
        "local_epochs": draw(st.floats(min_value=0.01, max_value=100)),
        "batch_size": draw(st.integers(1, 65_536)),
        "optimiser": draw(st.sampled_from(["sgd", "adamw"])),
        "learning_rate": draw(rates()),
    }
    for key in [key.name for key in STRATEGIES[strategy].keys]:
        training[key] = draw(fractions(0.999)) if key.startswith("beta") or key == "server_momentum" else draw(rates())
    aggregation: dict[str, Any] = {"min_hospitals": draw(st.integers(2, 100)), "secure": draw(st.booleans())}
    if STRATEGIES[strategy].variates:
        del training["local_epochs"]
        training |= {"local_steps": draw(st.integers(1, 100_000)), "optimiser": "sgd"}
        aggregation["largest_weight"] = 1
    if draw(st.booleans()):
        training["class_weights"] = [draw(rates()) for _ in classes]
        training["weight_decay"] = draw(st.sampled_from([0.0, -0.0, 1e-4]))
        training["augmentations"] = draw(st.lists(st.sampled_from(["flip", "shift", "scale"]), unique=True))
    dp = {"mechanism": "dp-sgd", "epsilon": draw(amounts()), "delta": draw(fractions()), "clip_norm": draw(amounts())}
    return {
        "study": {"name": draw(st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,63}\Z"))},
        "task": {"name": "classification", "classes": classes},
        "data": {
            "modalities": draw(st.lists(st.sampled_from(["MR", "CT", "DX"]), min_size=1, unique=True)),
            "image_size": draw(st.integers(16, 1024)),
            "intensity": draw(st.sampled_from(["percentile", "window", "range"])),
        },
        "model": {"network": "resnet18", "seed": draw(st.integers(0, 2**32 - 1))},
        "training": training,
        "privacy": draw(st.sampled_from([{"mechanism": "none"}, dp])),
        "aggregation": aggregation,
        "evaluation": {"validation": draw(fractions()), "test": draw(fractions())},
    }


def toml(study: dict[str, Any]) -> str:
    lines = [
        f"[{section}]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in keys.items())
        for section, keys in study.items()
    ]
    return "".join(lines)


@given(tables())
def test_reading_the_canonical_form_back_gives_the_same_study_and_digest(study: dict[str, Any]) -> None:
    first = Study.model_validate(study)
    again = parse_canonical(first.canonical())
    assert again == first
    assert again.digest() == first.digest()


@given(tables())
def test_writing_a_study_as_toml_leaves_its_digest(study: dict[str, Any]) -> None:
    assert parse_study(toml(study)).digest() == Study.model_validate(study).digest()


@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_sections_and_keys_leaves_the_digest(study: dict[str, Any], random: Any) -> None:
    def shuffled(table: dict[str, Any]) -> dict[str, Any]:
        return dict(random.sample(sorted(table.items(), key=lambda item: item[0]), len(table)))

    other = shuffled({section: shuffled(keys) for section, keys in study.items()})
    assert parse_study(toml(other)).digest() == parse_study(toml(study)).digest()


@given(tables())
def test_whole_numbers_for_floats_leave_the_digest(study: dict[str, Any]) -> None:
    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(item) for item in value]
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value

    other = {section: {key: whole(value) for key, value in keys.items()} for section, keys in study.items()}
    assert parse_study(toml(other)).digest() == parse_study(toml(study)).digest()


@given(tables(), st.data())
def test_another_value_gives_another_digest(study: dict[str, Any], data: st.DataObject) -> None:
    other = copy.deepcopy(study)
    section, key = data.draw(
        st.sampled_from([("training", "rounds"), ("model", "seed"), ("aggregation", "min_hospitals")])
    )
    other[section][key] += -1 if other[section][key] > 2 else 1  # a secure sum is over two hospitals at least
    assert Study.model_validate(other).digest() != Study.model_validate(study).digest()


def test_an_accent_typed_in_two_ways_is_one_class_with_one_digest() -> None:
    decomposed = unicodedata.normalize("NFD", VECTOR_TOML)
    assert decomposed != VECTOR_TOML
    assert parse_study(decomposed).digest() == VECTOR_DIGEST


def test_two_spellings_of_one_accent_are_not_two_classes() -> None:
    with pytest.raises(StudyError, match="more than once"):
        parse_study(VECTOR_TOML.replace('"healthy"', '"tumeur ce\u0301re\u0301brale"'))


def test_minus_zero_is_zero() -> None:
    zero, minus = (VECTOR_TOML.replace("rounds =", f"momentum = {text}\nrounds =") for text in ("0.0", "-0.0"))
    assert parse_study(zero).digest() == parse_study(minus).digest() == VECTOR_DIGEST


def test_comments_spaces_and_line_endings_leave_the_digest() -> None:
    other = VECTOR_TOML.replace("\n", "   # a remark\r\n").replace(" = ", "=")
    assert parse_study(other).digest() == VECTOR_DIGEST


def test_writing_a_default_out_leaves_the_digest() -> None:
    assert parse_study(VECTOR_TOML.replace("[training]", "norm = 'group'\n[training]")).digest() == VECTOR_DIGEST


def test_with_and_without_differential_privacy_are_two_studies() -> None:
    assert parse_study(study_text("a", dp=True)).digest() != parse_study(study_text("a", dp=False)).digest()


@pytest.mark.parametrize(
    ("defect", "data"),
    {
        "a space more": VECTOR_CANONICAL.replace(":", ": ", 1).encode(),
        "keys in another order": json.dumps(dict(reversed(json.loads(VECTOR_CANONICAL).items()))).encode(),
        "a default left out": VECTOR_CANONICAL.replace('"channels":1,', "").encode(),
        "a key twice": VECTOR_CANONICAL.replace('"channels":1,', '"channels":3,"channels":1,').encode(),
        "a whole number for a float": VECTOR_CANONICAL.replace('"epsilon":8.0', '"epsilon":8').encode(),
        "an escape for a letter": VECTOR_CANONICAL.replace("é", "\\u00e9").encode(),
        "a list": b"[]",
        "no JSON": b"{",
        "not UTF-8": b"\xff\xfe\xfd",
        "nested too deeply": b"[" * 100_000,
        "a number too long": b"9" * 5000,
        "far too large": b" " * (LARGEST_FILE_BYTES + 1) + VECTOR_CANONICAL.encode(),
    }.items(),
)
def test_bytes_that_are_not_the_canonical_form_are_refused(defect: str, data: bytes) -> None:
    with pytest.raises(StudyError, match="canonical form"):
        parse_canonical(data)


def test_a_copy_with_another_value_has_another_digest_whether_or_not_the_first_was_asked_for_its_own() -> None:
    first = study()
    asked = first.digest()
    copy = first.model_copy(update={"study": first.study.model_copy(update={"name": "another"})})
    assert copy.digest() == Study.model_validate(copy.model_dump()).digest() != asked
    assert first == study()
