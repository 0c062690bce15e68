"""What a study does about rare classes, against the formula and against what privacy by patient needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from examples import DP, dataset, study
from wardround_client import networks
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.preparation.examples import Examples
from wardround_client.tasks.registry import loss_of
from wardround_client.training.bookkeeping import BookKeeping
from wardround_client.training.local_work import LocalRun, train
from wardround_common.errors import MessageError, StudyError
from wardround_common.messages.rounds import Evaluated, EvaluateRequest, TrainRequest, Update
from wardround_common.metrics.class_counts import ClassCounts
from wardround_common.randomness import insecure_stream
from wardround_common.secagg.question import question_digest
from wardround_common.study.file import Study
from wardround_common.study.words.describe import describe

CPU = torch.device("cpu")
FOCAL = {"focal_gamma": 2.0, "class_weights": [1.0, 50.0]}


def test_the_focal_loss_is_that_of_the_paper_record_by_record() -> None:
    outputs, targets = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)) * 3, torch.arange(40) % 2
    together = loss_of(study(training=FOCAL), CPU)(outputs, targets)
    p = outputs.double().softmax(1)[torch.arange(40), targets]
    expected = torch.tensor([1.0, 50.0])[targets] * (1 - p) ** 2 * -p.log()
    torch.testing.assert_close(together.double(), expected, rtol=1e-4, atol=1e-6)
    alone = [loss_of(study(training=FOCAL), CPU)(outputs[[row]], targets[[row]])[0] for row in range(40)]
    torch.testing.assert_close(together, torch.stack(alone))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_a_focal_loss_has_finite_gradients_where_the_model_is_sure(gamma: float) -> None:
    outputs = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    loss = loss_of(study(training={"focal_gamma": gamma}), CPU)(outputs, torch.zeros(2, dtype=torch.int64))
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


def test_one_patient_moves_the_private_sum_by_no_more_than_the_clipping_norm_whatever_the_weights() -> None:
    of, data, clip = study(training=FOCAL, privacy=DP), dataset().train, 0.5
    network, loss = networks.build(of), loss_of(of, CPU)

    def clipped(count: int) -> torch.Tensor:
        with BookKeeping(network) as books:
            rows = np.arange(count)
            losses = loss(network(torch.from_numpy(data.images(rows))), torch.from_numpy(data.targets[rows]))
            sums = books.clipped_sum(losses, [1] * count, clip)
        return torch.cat([one.flatten() for one in sums])

    moved = float((clipped(len(data)) - clipped(len(data) - 1)).norm())
    assert 0.9 * clip < moved <= clip * 1.0001


class Watching(Examples):
    seen: list[int]

    def images(self, places: object) -> np.ndarray:
        self.seen.extend(np.atleast_1d(places).tolist())
        return super().images(places)  # type: ignore[arg-type]


def drawn(of: Study, data: Examples, number: int) -> list[int]:
    watching = Watching(data.kept, data.rows, data.targets, data.patients)
    object.__setattr__(watching, "seen", [])
    built = build(of)
    run = LocalRun(of, built.network, built.layout, watching, None, insecure_stream(1, "hospital"))
    train(run, networks.read_vector(networks.build(of)), number)
    return watching.seen


def test_balanced_sampling_draws_each_class_equally_often_and_each_image_of_a_class_too() -> None:
    data = dataset(patients=100).train
    targets = np.zeros(len(data), np.int64)
    targets[:3] = 1  # 3 of 60
    data = replace(data, targets=targets)
    of = study(training={"sampling": "balanced", "batch_size": 60, "local_epochs": 10.0})
    seen = drawn(of, data, 1)
    assert len(seen) == 10 * len(data)
    assert np.mean(targets[seen]) == pytest.approx(0.5, abs=0.05)
    counts = np.bincount(seen, minlength=len(data))
    assert counts[:3].min() > 60  # 100 are expected of each
    assert seen == drawn(of, data, 1)


def hospital(of: Study) -> Hospital:
    return join(of, dataset(), insecure_stream(1, "hospital"), build(of))


def test_the_weights_of_counted_classes_are_inverse_to_the_counts_and_one_on_average() -> None:
    counted = ClassCounts((40, 8, 0, 2)) + ClassCounts((10, 2, 0, 8))
    weights = np.array(counted.weights())
    assert weights[0] * 50 == pytest.approx(weights[1] * 10) == pytest.approx(weights[3] * 10)
    assert weights[2] == 1
    assert (weights * counted.to_vector()).sum() == pytest.approx(counted.records)
    for wrong in ([1, 2], [-1, 1, 1, 1], [0.5, 1, 1, 1]):
        with pytest.raises(MessageError):
            ClassCounts.read(np.array(wrong), 4)


def test_counted_weights_train_as_stated_ones() -> None:
    counts, stated = ClassCounts((90, 10)), {"class_weights": [100 / 180, 100 / 20]}
    updates = []
    for training, classes in (({"count_classes": True}, counts), (stated, None)):
        of = study(training=training)
        start = networks.read_vector(networks.build(of))
        answer = hospital(of).answer("train", TrainRequest(of.digest(), 1, start, classes=classes).parts())
        assert isinstance(answer, Update)
        updates.append(answer.vector)
    np.testing.assert_allclose(*updates, atol=1e-7)
    of = study(training={"count_classes": True})
    for none in (None, ClassCounts((1, 2, 3))):
        with pytest.raises(MessageError, match="sent no count"):
            hospital(of).answer("train", TrainRequest(of.digest(), 1, start, classes=none).parts())


def test_a_hospital_counts_its_training_images_once_before_the_first_round_where_the_study_says_so() -> None:
    of = study(training={"count_classes": True})
    start = networks.read_vector(networks.build(of))
    answer = hospital(of).answer("evaluate", EvaluateRequest(of.digest(), 0, "before", start).parts())
    assert isinstance(answer, Evaluated)
    assert answer.sums.tolist() == np.bincount(dataset().train.targets).tolist()
    for other, number in ((of, 1), (study(), 0)):
        with pytest.raises(MessageError, match="but before the first round"):
            hospital(other).answer("evaluate", EvaluateRequest(other.digest(), number, "before", start).parts())


def test_hospitals_of_a_secure_sum_agree_on_the_counts_that_they_were_told() -> None:
    asked = TrainRequest("0" * 64, 1, np.zeros(3, np.float32), b"", ClassCounts((3, 4)))
    assert question_digest(asked) != question_digest(replace(asked, classes=ClassCounts((4, 3))))
    assert question_digest(asked) == question_digest(TrainRequest.parse(asked.parts(), 3))


def test_exact_counts_are_refused_under_privacy_and_said_without() -> None:
    with pytest.raises(StudyError, match="count_classes = true: the counts would leave without noise"):
        Study.new(count_classes=True)
    with pytest.raises(StudyError, match="remove one of the two"):
        Study.new(privacy="none", count_classes=True, class_weights=[1.0, 2.0])
    said = {part.heading: " ".join(part.sentences) for part in describe(Study.new(privacy="none", count_classes=True))}
    assert "only a sum over hospitals can be read: the number of training images" in said["What leaves a hospital"]


def test_balanced_sampling_is_refused_where_every_patient_has_one_rate() -> None:
    with pytest.raises(StudyError, match="no accounting covers that"):
        Study.new(sampling="balanced")
    said = " ".join(s for part in describe(Study.new(privacy="none", sampling="balanced")) for s in part.sentences)
    assert "each of its classes is as likely" in said
    with pytest.raises(StudyError, match="focal_gamma: the task 'risk' does not use this key"):
        Study.new(task="risk", privacy="none", focal_gamma=2.0)
