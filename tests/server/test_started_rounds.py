"""The first round of a study that starts from a released model: who gives the weights, and who checks them."""

from __future__ import annotations

import numpy as np
import pytest
from test_rounds import Memory

from examples import dataset, study
from models_made import model_folder
from wardround_client import networks
from wardround_client.hospital.answering import build, join
from wardround_common.errors import MessageError, RoundError
from wardround_common.messages.rounds import PrepareRequest, TrainRequest
from wardround_common.randomness import insecure_stream
from wardround_common.results.released import Released, read_released
from wardround_common.study.file import Study
from wardround_server.rounds.course import run_study


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    """Return a model of another seed than the study's."""
    return read_released(model_folder(tmp_path_factory.mktemp("m"), study(model={"seed": 5}), name="first"))


@pytest.fixture(scope="module")
def of(released: Released) -> Study:
    tables = study(training={"rounds": 1, "learning_rate": 1e-30}).tables(nulls=False)
    tables["model"]["start"] = released.start.model_dump(mode="json", exclude_none=True)
    return Study.model_validate(tables)


def test_a_hospital_trains_in_the_first_round_from_the_approved_weights_and_from_no_others(of: Study) -> None:
    hospital = join(of, dataset(), insecure_stream(0, "a"), build(of))
    given = networks.read_vector(networks.build(study(model={"seed": 5})))
    seeded = networks.read_vector(networks.build(of))
    changed = given.copy()
    changed[0] = np.nextafter(changed[0], np.float32(1))
    for wrong in (seeded, changed):
        with pytest.raises(MessageError, match="not start from the parameters of the model that it starts from"):
            hospital.answer("train", TrainRequest(of.digest(), 1, wrong).parts())
    hospital.answer("train", TrainRequest(of.digest(), 1, given).parts())


def test_no_hospital_sends_first_weights_where_the_study_pins_them(of: Study) -> None:
    hospital = join(of, dataset(), insecure_stream(0, "a"), build(of))
    answer = hospital.answer("prepare", PrepareRequest(of.digest(), True).parts())
    assert getattr(answer, "parameters", 0) is None


def test_the_coordinator_gives_the_weights_that_the_study_pins_and_begins_without_none(
    of: Study, released: Released
) -> None:
    with pytest.raises(RoundError, match="starts from the model 'first', which is not here"):
        run_study(of, Memory(of), lambda event: None)
    final = run_study(of, Memory(of), lambda event: None, start=released.content)
    given = networks.read_vector(networks.build(study(model={"seed": 5})))
    assert np.array_equal(final.parameters, given)
