"""Same seed, same model, with any number of cores and in any thread: only the study says how many threads compute."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from examples import DP, dataset, study
from wardround_client import networks
from wardround_client.hospital.answering import build, join
from wardround_common.messages.rounds import TrainRequest
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study, parse_study
from wardround_common.study.template import study_text
from wardround_common.study.words.describe import describe


@pytest.fixture(autouse=True)
def threads_of_this_process() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def a_study(**training: int) -> Study:
    return study(training={"rounds": 1, **training}, data={"image_size": 32})


def update(of: Study, found: int) -> bytes:
    """Return the update of a hospital whose process found this many threads when it began."""
    torch.set_num_threads(found)
    hospital = join(of, dataset(size=32), insecure_stream(1, "hospital"), build(of))
    start = networks.read_vector(networks.build(of))
    request = TrainRequest(of.digest(), 1, start)
    answer: Any = hospital.answer("train", request.parts())
    return bytes(answer.vector.tobytes())


@pytest.mark.parametrize("private", [False, True])
def test_the_number_of_cores_changes_no_byte_of_an_update(private: bool) -> None:
    of = a_study() if not private else study(privacy=DP, data={"image_size": 32}, training={"rounds": 1})
    assert update(of, found=2) == update(of, found=1)


def test_a_thread_that_has_computed_before_trains_as_the_study_says() -> None:
    of = a_study()
    expected = update(of, found=1)
    with ThreadPoolExecutor(1) as one:
        one.submit(torch.set_num_threads, 2).result()
        one.submit(lambda: torch.rand(64, 64) @ torch.rand(64, 64)).result()
        torch.set_num_threads(1)  # in this thread, of which the other one learns nothing
        assert one.submit(update, of, 2).result() == expected


def test_a_study_may_state_another_number_and_then_has_another_model_the_same_everywhere() -> None:
    two = a_study(threads=2)
    assert update(two, found=1) == update(two, found=2)
    assert update(two, found=1) != update(a_study(), found=1)


def test_a_hospital_evaluates_with_the_studys_number_of_threads() -> None:
    from wardround_common.messages.rounds import EvaluateRequest

    of = a_study(threads=2)
    torch.set_num_threads(1)
    hospital = join(of, dataset(size=32), insecure_stream(1, "hospital"), build(of))
    start = networks.read_vector(networks.build(of))
    hospital.answer("evaluate", EvaluateRequest(of.digest(), 1, "validation", start).parts())
    assert torch.get_num_threads() == 2


def test_one_thread_is_the_default_and_leaves_the_digest_as_it_was() -> None:
    assert a_study(threads=1).digest() == a_study().digest() != a_study(threads=2).digest()
    assert b"threads" not in a_study().canonical()


def test_the_study_file_offers_threads_and_the_study_says_them_in_words() -> None:
    text = study_text("new")
    assert "# threads = 4\n" in text
    of = parse_study(text.replace("# threads = 4\n", "threads = 4\n"))
    words = " ".join(sentence for passage in describe(of) for sentence in passage.sentences)
    assert of.training.threads == 4
    assert "computes with 4 threads" in words
