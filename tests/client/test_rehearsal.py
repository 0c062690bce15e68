"""A network that cannot run at its size, or cannot be private, is refused before anybody approves."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from examples import DP, STUDY, study
from wardround_client import networks
from wardround_client.hospital.joining import begin
from wardround_client.networks import tiny_cnn
from wardround_client.service.ward import Ward, plan
from wardround_client.spending.policy import POLICY_NAME, policy_text
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.training.network_probe import Defect
from wardround_client.training.rehearsal import check_private, rehearse, why_not
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.errors import PrivacyError, StudyError
from wardround_common.keys.identity import Identity
from wardround_common.messages.rounds import PrepareRequest
from wardround_common.storage import write_atomically
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed
from wardround_common.study.template import study_text
from wardround_simulation.federation import Site
from wardround_simulation.plan_cli import plan as plan_command
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess


@pytest.fixture(autouse=True, scope="module")
def monai_is_quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import speaks of its optional parts
        yield


def of(network: str, norm: str, size: int, *, private: bool = False) -> Study:
    privacy = DP if private else {"mechanism": "none"}
    return study(model={"network": network, "norm": norm}, data={"image_size": size}, privacy=privacy)


@pytest.mark.parametrize(
    ("network", "norm", "size", "advice"),
    [
        ("densenet121", "group", 28, "Write image_size = 32."),
        pytest.param("densenet121", "instance", 32, "Write image_size = 64 or norm = 'group'.", marks=pytest.mark.slow),
        pytest.param(
            "efficientnet-b0", "instance", 32, "Write image_size = 64 or norm = 'group'.", marks=pytest.mark.slow
        ),
    ],
)
def test_a_network_that_is_too_deep_for_its_images_is_refused_with_a_size_or_norm(
    network: str, norm: str, size: int, advice: str
) -> None:
    with pytest.raises(StudyError) as refused:
        rehearse(of(network, norm, size))
    assert f"image_size = {size}: {network} with norm = '{norm}' cannot be trained" in str(refused.value)
    assert refused.value.do == advice
    assert len(refused.value.faults) == 1


@pytest.mark.parametrize("network", [pytest.param("densenet121", marks=pytest.mark.slow), "efficientnet-b0"])
def test_a_last_batch_of_one_under_batch_normalisation_is_refused(network: str) -> None:
    with pytest.raises(StudyError, match="a last batch of one image fails") as refused:
        rehearse(of(network, "batch", 32))
    assert refused.value.do == "Write image_size = 64 or norm = 'group'."


@pytest.mark.slow
def test_what_is_advised_works() -> None:
    assert "64 × 64" in rehearse(of("densenet121", "batch", 64))
    assert "32 × 32" in rehearse(of("densenet121", "group", 32))


@pytest.mark.slow
def test_batch_normalisation_is_not_advised_to_a_private_study() -> None:
    with pytest.raises(StudyError) as refused:
        rehearse(of("densenet121", "group", 16, private=True))
    assert "batch" not in refused.value.do


@pytest.mark.parametrize("network", ["tiny-cnn", "small-cnn", "wavelets"])
@pytest.mark.parametrize("size", [16, 33, 64])
def test_the_small_networks_run_at_every_size_and_can_be_private(network: str, size: int) -> None:
    said = rehearse(of(network, "group", size, private=True))
    assert said.endswith("the gradient of each image is its own")


def test_a_study_without_privacy_is_not_probed() -> None:
    assert "gradient" not in rehearse(of("tiny-cnn", "batch", 16))


def test_a_network_that_cannot_be_private_is_refused_with_the_reason() -> None:
    of_batch = of("tiny-cnn", "batch", 16)
    with pytest.raises(PrivacyError) as refused:
        check_private(networks.build(of_batch), of_batch)
    assert "tiny-cnn cannot be trained with privacy by patient" in str(refused.value)
    assert "layer features.1 (BatchNorm2d)" in str(refused.value)
    assert "Choose a normalisation within one image" in refused.value.do
    assert refused.value.exit_code == 5


@pytest.mark.slow
def test_a_defect_is_looked_for_where_the_network_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from wardround_client.training import rehearsal

    sizes: list[tuple[int, ...]] = []

    def found(network: torch.nn.Module, channels: int, size: tuple[int, ...], classes: int) -> tuple[Defect, ...]:
        sizes.append(size)
        return ()

    monkeypatch.setattr(rehearsal, "defects_of", found)
    for norm in ("group", "instance"):  # instance normalisation does not run at 32 pixels
        deep = of("densenet121", norm, 64, private=True)
        check_private(networks.build(deep), deep)
    assert sizes == [(32, 32), (64, 64)]


def test_a_rehearsal_leaves_torchs_generator_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    rehearse(study(study={"name": "another"}, model={"network": "tiny-cnn"}, privacy=DP))
    assert torch.equal(torch.rand(4), expected)


def test_a_network_whose_output_does_not_fit_the_classes_does_not_run() -> None:
    assert why_not(torch.nn.Flatten(), study(), (4, 4)) == "it gives (2, 16) in place of (2, 2) numbers"


class Borrowing(torch.nn.Module):
    """A network that uses a layer's weight past the layer, where no gradient of a single image is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.convolve = torch.nn.Conv2d(1, 4, 3)
        self.classify = torch.nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = torch.nn.functional.conv2d(images, self.convolve.weight, self.convolve.bias)
        logits: torch.Tensor = self.classify(maps.mean((2, 3)))
        return logits


@pytest.fixture
def borrowing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_cnn, "NETWORK", networks.Network(lambda channels, outputs, norm, dims: Borrowing(), ""))


@pytest.mark.usefixtures("borrowing")
def test_no_patient_is_charged_for_a_network_that_cannot_be_private(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    folder = HospitalFolder(tmp_path / "state")
    begin(folder, "a", tmp_path / "images", None, datetime.now(UTC))
    write_atomically(folder.path / POLICY_NAME, policy_text().encode())
    listed = [Listed.of("a", folder.identity().public), Listed.of("b", Identity(bytes(32)).public)]
    tables = dict(STUDY) | {"roster": [one.model_dump() for one in listed], "privacy": DP}
    tables["study"] = tables["study"] | {"name": "borrowing"}
    private = Study.model_validate(tables | {"model": {"network": "tiny-cnn"}})
    with pytest.raises(PrivacyError, match="used outside its own layer"):
        plan(folder, private)  # what 'approve' does first
    ward = Ward(folder)
    ward.answer("propose", ProposeRequest(private).parts())
    ward.approvals.decide(private, "approved")  # as if torch had changed since
    with pytest.raises(PrivacyError, match="used outside its own layer"):
        ward.answer("prepare", PrepareRequest(private.digest(), False, bytes(16)).parts())
    assert not list((folder.path / "studies" / private.digest()).glob("*"))


@pytest.mark.usefixtures("borrowing")
def test_a_simulation_of_a_network_that_cannot_be_private_ends_before_it_reads_an_image(tmp_path: Path) -> None:
    private = study(study={"name": "borrowing-2"}, model={"network": "tiny-cnn"}, privacy=DP)
    done: list[int] = []
    with pytest.raises(PrivacyError, match="cannot be trained with privacy"):
        simulate(
            Plan(private, (Site("a", ()), Site("b", ())), tmp_path / "run", False, False),
            InThisProcess(),
            lambda progress: done.append(progress.done),
        )
    assert done == [0, 0]  # neither tried nor prepared


@pytest.mark.usefixtures("borrowing")
def test_a_plan_of_a_network_that_cannot_be_private_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "borrowing.toml"
    path.write_text(study_text("borrowing-3"), encoding="utf-8")
    planning = typer.Typer()
    planning.command()(plan_command)
    result = CliRunner().invoke(planning, [str(path), "--patients", "100,100"])
    assert isinstance(result.exception, PrivacyError)
    assert "its own layer" in str(result.exception)
