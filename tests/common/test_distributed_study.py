"""A study whose hospitals share the noise out: what it must say, what it may not, and what its words promise."""

from __future__ import annotations

import pytest

from wardround_common.errors import StudyError
from wardround_common.study.file import Study, parse_canonical, parse_study
from wardround_common.study.privacy import DistributedDpSgd, DpSgd
from wardround_common.study.template import study_text
from wardround_common.study.words.describe import describe

TEXT = study_text("shared", distributed=True)
LOCAL = study_text("shared")


def said(study: Study) -> str:
    return "\n".join(sentence for passage in describe(study) for sentence in passage.sentences)


def one_fault(old: str, new: str, text: str = TEXT) -> str:
    assert old in text
    with pytest.raises(StudyError) as caught:
        parse_study(text.replace(old, new))
    (fault,) = caught.value.faults
    return fault


def test_what_new_writes_is_a_distributed_study_that_its_canonical_form_gives_back() -> None:
    study = parse_study(TEXT)
    assert isinstance(study.privacy, DistributedDpSgd)
    assert parse_canonical(study.canonical()) == study
    assert study.digest() != parse_study(LOCAL).digest()


def test_a_local_study_that_writes_its_trust_out_has_the_digest_that_it_had() -> None:
    written = LOCAL.replace('mechanism = "dp-sgd"', 'mechanism = "dp-sgd"\ntrust = "local"')
    assert parse_study(written).digest() == parse_study(LOCAL).digest()
    assert type(parse_study(written).privacy) is DpSgd
    assert b"trust" not in parse_study(written).canonical()


def test_judging_every_round_is_the_default_and_another_rhythm_is_another_study() -> None:
    usual = parse_study(TEXT.replace("# every = 10", "every = 1"))
    assert usual.digest() == parse_study(TEXT).digest()
    assert parse_study(TEXT.replace("# every = 10", "every = 10")).digest() != usual.digest()


def test_without_secure_sums_noise_cannot_be_shared_out() -> None:
    fault = one_fault("secure = true", "secure = false")
    assert fault.startswith("[aggregation] secure = false: under trust = 'distributed' one hospital's noise is not")


def test_a_rate_for_which_noise_would_be_planned_for_minutes_is_refused() -> None:
    assert "it must be at least 1e-05" in one_fault("sampling_rate = 0.5", "sampling_rate = 1e-6")


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("local_epochs", "# local_epochs = 1.0", "local_epochs = 1.0"),
        ("momentum", "# momentum = 0.9", "momentum = 0.9"),
        ("weight_decay", "# weight_decay = 0.0", "weight_decay = 0.1"),
        ("optimiser", 'optimiser = "sgd"', 'optimiser = "adamw"'),
    ],
)
def test_keys_of_local_work_are_refused_with_the_reason(key: str, old: str, new: str) -> None:
    fault = one_fault(old, new)
    assert fault.startswith(f"[training] {key} = ")
    assert "trust = 'distributed' makes a round one step" in fault


def test_local_work_without_its_passes_is_a_missing_key() -> None:
    assert one_fault("local_epochs = 1.0", "", LOCAL) == (
        "[training] local_epochs: this key is missing, such as local_epochs = 1.0"
    )


def test_a_sum_of_colluders_only_is_refused() -> None:
    assert "it must be below min_hospitals" in one_fault("colluders = 1", "colluders = 3")


def test_a_ring_or_a_clip_that_does_not_fit_gradients_is_refused() -> None:
    assert one_fault("# ring_bits = 16", "ring_bits = 16").startswith("[aggregation] ring_bits = 16: ")
    assert "clip_norm bounds a patient" in one_fault("# update_clip = 0.05", "update_clip = 0.05")


def test_keys_of_shared_noise_in_a_local_study_say_which_trust_uses_them() -> None:
    assert one_fault("# dropouts = 0", "dropouts = 0", LOCAL) == (
        "[privacy] dropouts = 0: trust = 'local' does not use this key; remove it, or write trust = 'distributed'"
    )
    assert "it must be 'local' or 'distributed'" in one_fault('# trust = "distributed"', 'trust = "global"', LOCAL)


def test_show_says_whose_noise_is_enough_and_that_no_number_leaves_beside_it() -> None:
    text = said(parse_study(TEXT.replace("dropouts = 0", "dropouts = 2")))
    assert "The shares are enough even if 2 hospitals drop out of a round and 1 hospital tells" in text
    assert "no other number: no count, no loss, no epsilon" in text
    assert "but not against somebody who reads a single hospital's update" in text
    assert "each hospital adds enough noise on its own" not in text
