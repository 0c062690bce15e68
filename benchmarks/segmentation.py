"""Outlines: does federation reach what pooling reaches, does it beat every hospital alone, and what does privacy cost?

Run with ``make bench-segmentation DATA=DIR``, where ``DIR`` holds one folder a hospital with series and masks. The
study is ``benchmarks/studies/brain-mri-outlines.toml``; its private forms are the same with the numbers below. The
part ``volumes`` is ``benchmarks/studies/brain-mri-volumes.toml``, of whole volumes. Runs are
kept under ``--out`` and resumed when you start the benchmark again. ``--size``, ``--passes``, ``--seeds`` and
``--network`` make it smaller; ``--only`` takes some of its parts; ``--device`` trains on a card. Seeds and parts can be
run one at a time, also beside one another with an ``--out`` of their own each: put the folders of their runs into one
``--out``, and a call for all of them reads what they gave. What was measured with other numbers than the study's
is no figure of it: such runs print, and write nothing.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from measure import known, report
from prepared_volumes import memory_of, prepare_over_read
from trained import Arguments, arguments, by_site, mean_of, run, show, show_by_site
from wardround_client import networks
from wardround_client.hospital.answering import Hospital
from wardround_common.results import FEDERATED, POOLED, Results, alone_hospital, without
from wardround_common.study.file import Study, read_study
from wardround_server.rounds.app import GridExchange
from wardround_server.rounds.course import Event, RoundEnds, run_study
from wardround_simulation.federation import Federation, alone_study, nodes, open_hospital
from wardround_simulation.grid import InProcessGrid
from wardround_simulation.workers import InThisProcess

STUDY = Path(__file__).parent / "studies" / "brain-mri-outlines.toml"
OF_VOLUMES = STUDY.with_name("brain-mri-volumes.toml")
DICE = "dice"
COST_ROUNDS, COST_TURNS = 4, 2
PARTS = ("cost", "plain", "volumes", "eps8-local", "eps3-local", "eps8-distributed", "eps3-distributed")
MEANINGS = {
    "dice_federated": "mean Dice of the test patients, averaged over the hospitals, mean over seeds",
    "dice_pooled": "all training patients in one place, the same passes over each hospital's",
    "dice_alone_best": "the best single hospital's own model, on the same test patients",
    "dice_worst_hospital": "federated, at the hospital where it is lowest",
    "dice_spread": "federated, between the highest and the lowest hospital",
    "hausdorff_federated": "95 % Hausdorff distance in mm, averaged over the hospitals",
    "dice_left_out_mean": "trained without each hospital in turn, at the hospital that was left out",
    "round_over_plain": "processor time of a simulated round over a plain loop of the same steps (at most 1.1)",
    "dice_3d_federated": "of whole volumes, trained on patches: as dice_federated",
    "dice_3d_pooled": "of whole volumes, as dice_pooled",
    "dice_3d_alone_best": "of whole volumes, as dice_alone_best",
    "hausdorff_3d_federated": "of whole volumes, as hausdorff_federated",
    "volumes_peak_mib": "most memory of the process of the hospital with most data: a round, and judging",
    "volumes_idle_mib": "of a process that has opened nothing, with all its libraries",
    "volumes_data_mib": "what that hospital has prepared on its disk",
    "prepare_over_read": "processor time of preparing volumes over a bare read of the same files (at most 1.3)",
    "prepare_over_read_wall": "the same in seconds on the clock",
    "dice_eps8_local": "epsilon 8 for each patient, each hospital adds enough noise on its own",
    "dice_eps3_local": "the same with epsilon 3",
    "dice_eps8_distributed": "epsilon 8, the noise shared out among the hospitals under secure sums",
    "dice_eps3_distributed": "the same with epsilon 3",
}


def main(typed: Arguments) -> None:
    """Run what is missing, print the tables, and write the figures if they are those of the study."""
    figures: dict[str, float] = {}
    for part in typed.only:
        if part == "cost":
            figures["round_over_plain"] = round_over_plain(typed)
            continue
        if part == "volumes":
            figures |= costs_of_volumes(typed)
        study = study_of(part, typed.changed)
        plain = study.privacy.mechanism == "none"
        alone_too = {"baselines": plain, "leave_one_out": plain and len(study.data.extent) == 2}
        runs = [run(study, seed, typed, **alone_too) for seed in typed.seeds]
        show_by_site(f"{part}: Dice", runs, DICE)
        figures |= figures_of(part, runs)
    if not typed.as_stated:
        show(figures)
        return
    report("segmentation", known("segmentation") | figures, MEANINGS)


def study_of(part: str, changed: Mapping[str, Mapping[str, object]]) -> Study:
    """Return the study of one part of the benchmark, with what a person typed in the place of the study's numbers."""
    tables = read_study(OF_VOLUMES if part == "volumes" else STUDY).tables(nulls=False)
    for section, values in changed.items():
        tables[section] |= {key: value for key, value in values.items() if part != "volumes" or key != "image_size"}
    if part not in ("plain", "volumes"):
        epsilon, trust = part.split("-")
        tables["study"]["name"] += f"-{part}"
        tables["model"]["network"] = "tiny-unet"
        tables["training"]["augmentations"] = []
        tables["privacy"] = PRIVATE[trust] | {"epsilon": float(epsilon.removeprefix("eps"))}
        for key in ("weight_decay", "schedule", "server_learning_rate", "server_momentum"):
            tables["training"].pop(key, None)
        tables["training"] |= {"strategy": "fedavg", "optimiser": "sgd", "learning_rate": 1.0, "batch_size": 20}
        if trust == "distributed":
            tables["training"].pop("local_epochs", None)
            tables["training"] |= {"rounds": 2 * int(tables["training"]["rounds"]), "batch_size": 29}
        else:
            tables["training"] |= {"momentum": 0.9}
    return Study.model_validate(tables)


PRIVATE: dict[str, dict[str, object]] = {
    "local": {"mechanism": "dp-sgd", "delta": 1e-3, "clip_norm": 0.1, "images_per_patient": 16},
    "distributed": {
        "mechanism": "dp-sgd",
        "trust": "distributed",
        "delta": 1e-3,
        "clip_norm": 0.1,
        "images_per_patient": 16,
        "sampling_rate": 0.5,
        "dropouts": 0,
        "colluders": 0,
    },
}


def costs_of_volumes(typed: Arguments) -> dict[str, float]:
    """Return what volumes cost a hospital: time to prepare them, and memory of the one that has most."""
    study = study_of("volumes", typed.changed)
    sites = typed.sites()
    alone = alone_study(study)
    memory = [memory_of(alone, site) for site in sites]
    return prepare_over_read(study, sites) | max(memory, key=lambda figures: figures["volumes_data_mib"])


def round_over_plain(typed: Arguments) -> float:
    """Return the processor time of a simulated round over that of a plain loop, the two taking turns.

    Neither varies its images nor judges the model: views and figures are work that a plain loop would have as well.
    """
    changed = {**typed.changed, "aggregation": {"secure": False}, "evaluation": {"every": COST_ROUNDS}}
    changed["training"] = {"rounds": COST_ROUNDS, "augmentations": [], "schedule": "constant"}
    study = study_of("plain", changed)
    sites = typed.sites()
    federation = Federation(study, sites)
    torch.set_num_threads(1)
    hospitals = [open_hospital(federation, site.name) for site in sites]
    plain, simulated = [], []
    for _ in range(COST_TURNS):
        plain.append(plain_round(hospitals, study))
        simulated += simulated_rounds(federation)
    return min(simulated) / min(plain)


def simulated_rounds(federation: Federation) -> list[float]:
    """Do rounds as ``wardround simulate`` does them; give the processor seconds of each but the first and the last."""
    names = nodes([site.name for site in federation.sites])
    exchange = GridExchange(InProcessGrid(federation, names, InThisProcess()), names)
    ends: list[float] = []

    def watch(event: Event) -> None:
        if isinstance(event, RoundEnds):
            ends.append(time.process_time())

    run_study(federation.study, exchange, watch)
    return [after - before for before, after in itertools.pairwise(ends)][:-1]


def plain_round(hospitals: list[Hospital], study: Study) -> float:
    """Do one round as a plain loop with MONAI's loss; give its processor seconds."""
    from monai.losses.dice import DiceCELoss

    loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, smooth_nr=1.0, smooth_dr=1.0)
    network = networks.build(study)
    began = time.process_time()
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    total = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
    for hospital in hospitals:
        network.load_state_dict(start)
        network.train()
        optimiser = torch.optim.AdamW(network.parameters(), study.training.learning_rate)
        data = hospital.dataset.train
        images, masks = torch.from_numpy(data.images(slice(None))), torch.from_numpy(data.targets[slice(None)])
        for rows in torch.randperm(len(masks)).split(study.training.batch_size):
            optimiser.zero_grad()
            loss(network(images[rows]), masks[rows][:, None]).backward()
            optimiser.step()
        for name, tensor in network.state_dict().items():
            total[name] += tensor * len(masks)
    examples = sum(len(hospital.dataset.train) for hospital in hospitals)
    network.load_state_dict({name: tensor / examples for name, tensor in total.items()})
    return time.process_time() - began


def figures_of(part: str, runs: list[Results]) -> dict[str, float]:
    """Return the figures of one part."""
    if part == "volumes":
        of_volumes = {model: mean_of(runs, model, DICE) for model in runs[0].evaluation}
        return {
            "dice_3d_federated": of_volumes[FEDERATED],
            "dice_3d_pooled": of_volumes[POOLED],
            "dice_3d_alone_best": max(value for model, value in of_volumes.items() if alone_hospital(model)),
            "hausdorff_3d_federated": mean_of(runs, FEDERATED, "hausdorff"),
        }
    if part != "plain":
        return {f"dice_{part.replace('-', '_')}": mean_of(runs, FEDERATED, DICE)}
    alone = {model: mean_of(runs, model, DICE) for model in runs[0].evaluation if alone_hospital(model)}
    at_sites = [by_site(results, FEDERATED, DICE) for results in runs]
    sites = {name: statistics.mean(one[name] for one in at_sites) for name in at_sites[0]}
    return {
        "dice_worst_hospital": min(sites.values()),
        "dice_spread": max(sites.values()) - min(sites.values()),
        "dice_federated": mean_of(runs, FEDERATED, DICE),
        "hausdorff_federated": mean_of(runs, FEDERATED, "hausdorff"),
        "dice_pooled": mean_of(runs, POOLED, DICE),
        "dice_alone_best": max(alone.values()),
        "dice_left_out_mean": statistics.mean(
            by_site(results, without(name), DICE)[name] for results in runs for name in sites
        ),
        **{f"dice_alone_{(alone_hospital(model) or '').lower()}": value for model, value in alone.items()},
    }


if __name__ == "__main__":
    main(
        arguments(
            "Federated, pooled, alone and private outlines.", "segmentation", PARTS, "; 'cost' is always the CPU's"
        )
    )
