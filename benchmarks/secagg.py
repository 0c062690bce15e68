"""What secure aggregation costs: masks beside Flower's and the raw keystream, a hospital's round, the coordinator's.

Everything is timed in one run; bytes are those of the messages. The best of a few repetitions counts.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen
from rich.console import Console

import secagg_accuracy
from measure import known, report
from wardround_client.hospital.secure_sum import Participant, Uploaded
from wardround_common.canonical import Reader
from wardround_common.keys.identity import Identity, Roster
from wardround_common.randomness import insecure_stream
from wardround_common.secagg import masks
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.encoding import Encoding
from wardround_common.secagg.exchange import (
    Dealt,
    Head,
    Masked,
    Upload,
    dealers_of,
    read_confirmations,
    read_heads,
    read_sealed,
)
from wardround_common.secagg.masks import BLOCK_BYTES, THREADS, add_masks
from wardround_common.secagg.terms import Member, Terms
from wardround_common.secagg.thresholds import default_threshold
from wardround_server.rounds.secure_sum import Confirming, Gathering, Total

PARAMETERS = 11_000_000
MEANINGS = {
    "mask_ms": "one of nine neighbours' masks added to 11 million 16-bit numbers, all threads",
    "mask_one_thread_ms": "the same by one thread",
    "mask_speedup_over_flower": "flwr's secaggplus generator, which knows one thread, over ours",
    "mask_speedup_over_flower_one_thread": "the same, ours by one thread",
    "mask_over_keystream": "ours over the raw keystream alone (AES-256-GCM by encrypt_into), one thread each",
    "bytes_over_float32": "one of 10 hospitals' upload of 11 million, 16-bit ring, over its update as float32",
    "hospital_encode_s": "encode 11 million numbers with random rounding",
    "hospital_upload_s": "mask, share, seal, sign for 10 hospitals, beside the encoding",
    "hospital_open_s": "confirm and open, 10 hospitals",
    "epoch_s": "one local epoch: ResNet-18, 1,000 images of 64 px, batches of 32, as many threads as masks",
    "hospital_over_epoch": "a hospital's round (encode, upload, confirm, open; 10 hospitals) over that epoch",
    "server_none_dropped_s": "coordinator: confirm and unmask, 100 hospitals, 11 million, 16-bit",
    "server_20pct_dropped_s": "the same with 20 dropped",
    "server_peak_vectors": "coordinator's peak memory over one masked vector, 100 hospitals, 20 dropped",
    "hospital_shares_100_s": "share, seal, sign for 100 hospitals, without the vector",
}


def best(work: Callable[[], object], times: int = 3) -> float:
    """Return the least time that the work took."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def mask_figures() -> dict[str, float]:
    """Compare one of the nine masks that a hospital of ten adds with Flower's and with the keystream alone.

    Flower's generator knows one thread; the keystream is compared with what one thread of ours does.
    """
    vector, seeds = np.zeros(PARAMETERS, "<u2"), [os.urandom(32) for _ in range(9)]
    theirs = best(lambda: pseudo_rand_gen(seeds[0], 1 << 16, [(PARAMETERS,)]), 9)
    ours = best(lambda: add_masks(vector, seeds[:4], seeds[4:], 0), 15) / len(seeds)
    masks.THREADS = 1
    alone = best(lambda: add_masks(vector, seeds[:4], seeds[4:], 0), 15) / len(seeds)
    masks.THREADS = THREADS
    return {
        "mask_ms": 1000 * ours,
        "mask_one_thread_ms": 1000 * alone,
        "mask_speedup_over_flower": theirs / ours,
        "mask_speedup_over_flower_one_thread": theirs / alone,
        "mask_over_keystream": alone / (best(lambda: keystream(vector.nbytes, seeds), 9) / len(seeds)),
    }


def keystream(size: int, seeds: Sequence[bytes]) -> None:
    """Make the bytes that masks of these seeds take, and use them for nothing."""
    streams, zeros = [AESGCM(seed) for seed in seeds], memoryview(bytes(BLOCK_BYTES))
    buffer = memoryview(bytearray(BLOCK_BYTES + 16))
    for number in range(-(-size // BLOCK_BYTES)):
        part = min(BLOCK_BYTES, size - number * BLOCK_BYTES)
        for stream in streams:
            stream.encrypt_into(number.to_bytes(12, "big"), zeros[:part], None, buffer[: part + 16])


@dataclass
class Group:
    """Hospitals of one sum, with secrets that anybody can make."""

    hospitals: int

    def __post_init__(self) -> None:
        names = [f"{k:03d}" for k in range(self.hospitals)]
        secrets = [hashlib.sha256(name.encode()).digest() for name in names]
        self.roster = Roster({name: Identity(s).public for name, s in zip(names, secrets, strict=True)})
        self.who = [
            Participant(n, Identity(s), AgreementKey(s), self.roster) for n, s in zip(names, secrets, strict=True)
        ]
        study, run = "0" * 64, bytes(16)
        members = tuple(Member.signed(w.name, w.identity, w.key.public, study, run) for w in self.who)
        threshold = default_threshold(self.hospitals)
        self.terms = Terms(study, run, "train", 1, bytes(32), self.roster.digest, members, threshold)

    def gathering(self, size: int) -> Gathering:
        """Begin a sum."""
        return Gathering(self.terms, self.roster, Total(np.zeros(size, "<u2"), np.zeros(3, "<u8")))

    def vector(self, size: int) -> Masked:
        """Return a vector to be masked."""
        return Masked(np.ones(size, "<u2"), np.ones(3, "<u8"))

    def open(self, confirming: Confirming, survivors: Sequence[int]) -> tuple[Total, float, float]:
        """Confirm and open; give the sum, the coordinator's seconds, and one hospital's."""
        count, server, hospital = self.hospitals, 0.0, 0.0
        question = confirming.question()
        confirmed = []
        for place in survivors:
            began = time.perf_counter()
            after, signature = Uploaded(self.terms).confirm(self.who[place], read_heads(question, count), 2)
            hospital += time.perf_counter() - began
            confirmed.append(after)
            confirming.add(self.who[place].name, signature)
        opening = confirming.close()
        for after, place in zip(confirmed, survivors, strict=True):
            name = self.who[place].name
            signatures, sealed = opening.signatures(), opening.sealed_for(name)
            began = time.perf_counter()
            dealers = dealers_of(self.terms.graph, after.survivors, place)
            shares = read_sealed(sealed, dealers, self.terms.graph.circle)
            opened = after.open(self.who[place], read_confirmations(signatures, count), shares)
            hospital += time.perf_counter() - began
            began = time.perf_counter()
            opening.add(name, opened)
            server += time.perf_counter() - began
        began = time.perf_counter()
        total = opening.total()
        return total, server + time.perf_counter() - began, hospital / len(survivors)


def hospital_figures() -> dict[str, float]:
    """Time one of ten hospitals and count its bytes."""
    group = Group(10)
    update = np.random.default_rng(0).normal(0, 0.01, PARAMETERS).astype(np.float32)
    encoding = Encoding(10, 16, 0.05, 1000)
    encode = best(lambda: encoding.encode(update, 900, insecure_stream(0)), 2)
    upload = best(lambda: group.who[4].upload(group.terms, group.vector(PARAMETERS), os.urandom), 2)
    made = group.who[4].upload(group.terms, group.vector(PARAMETERS), os.urandom)
    sent = made.masked.update.nbytes + made.masked.counts.nbytes + len(made.envelope())
    gathering = group.gathering(1000)
    for who in group.who:
        gathering.add(who.name, who.upload(group.terms, group.vector(1000), os.urandom))
    _, _, opened = group.open(gathering.close(), range(10))
    return {
        "bytes_over_float32": sent / update.nbytes,
        "hospital_encode_s": encode,
        "hospital_upload_s": upload,
        "hospital_open_s": opened,
    }


def server_figures() -> dict[str, float]:
    """Time the coordinator of a hundred hospitals, and its peak memory over one vector."""
    group = Group(100)
    figures: dict[str, float] = {}
    figures["hospital_shares_100_s"] = best(lambda: group.who[0].upload(group.terms, group.vector(10), os.urandom), 1)
    for dropped, name in ((0, "server_none_dropped_s"), (20, "server_20pct_dropped_s")):
        survivors = range(dropped, 100)
        gathering = group.gathering(PARAMETERS)
        for place in survivors:
            upload = group.who[place].upload(group.terms, group.vector(PARAMETERS), os.urandom)
            gathering.add(group.who[place].name, upload)
            del upload
        total, seconds, _ = group.open(gathering.close(), survivors)
        if not np.all(total.update == len(survivors)):
            raise SystemExit("the sum is wrong")
        figures[name] = seconds
    return figures | {"server_peak_vectors": server_peak(group)}


def server_peak(group: Group) -> float:
    """Return the coordinator's peak memory while uploads come in, one upload in flight, over one vector.

    The hospitals' work is done before it is measured: one upload serves as everybody's, signed again.
    """
    made = group.who[0].upload(group.terms, group.vector(PARAMETERS), os.urandom)
    update, counts, dealt = made.masked.update.tobytes(), made.masked.counts.tobytes(), made.dealt.written()
    tracemalloc.start()
    gathering = group.gathering(PARAMETERS)
    for place in range(20, 100):
        masked = Masked(np.frombuffer(bytearray(update), "<u2"), np.frombuffer(counts, "<u8"))
        copied = Dealt.read(Reader(dealt, "an upload"), group.terms.graph.circle)
        head = Head.signed(group.who[place].identity, group.terms, place, masked, copied)
        gathering.add(group.who[place].name, Upload(masked, copied, head))
        del masked, copied
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / len(update)


def epoch_s() -> float:
    """Time one local epoch of ResNet-18 on 1,000 images of 64 pixels, batches of 32, by the hospital's own code.

    It runs on the CPU with as many threads as masks are made by.
    """
    import torch

    from wardround_client import networks
    from wardround_client.preparation.examples import Examples
    from wardround_client.training.local_work import LocalRun, train
    from wardround_common.study.file import Study

    study = Study.model_validate(
        {
            "study": {"name": "epoch"},
            "task": {"name": "classification", "classes": ["none", "finding"]},
            "data": {"modalities": ["MR"], "image_size": 64, "intensity": "percentile"},
            "model": {"network": "resnet18"},
            "training": {"strategy": "fedavg", "rounds": 1, "local_epochs": 1.0, "batch_size": 32}
            | {"optimiser": "sgd", "learning_rate": 0.01},
            "privacy": {"mechanism": "none"},
            "aggregation": {"min_hospitals": 2, "secure": True},
            "evaluation": {"validation": 0.15, "test": 0.25},
        }
    )
    images = np.random.default_rng(0).random((1000, 1, 64, 64), np.float32)
    examples = Examples(images, np.arange(1000), np.arange(1000) % 2, np.arange(1000))
    torch.set_num_threads(THREADS)
    network = networks.build(study)
    layout, parameters = networks.layout_of(network), networks.read_vector(network)
    run = LocalRun(study, network, layout, examples, None, insecure_stream(0))
    return best(lambda: train(run, parameters, 1), 2)


def over_epoch(figures: Mapping[str, float]) -> dict[str, float]:
    """Compare a whole hospital's round with the local epoch that it comes after."""
    steps = ("hospital_encode_s", "hospital_upload_s", "hospital_open_s")
    epoch = epoch_s()
    return {"epoch_s": epoch, "hospital_over_epoch": sum(figures[step] for step in steps) / epoch}


def accuracy() -> dict[str, float]:
    """Measure what secure sums cost in AUROC if a folder of hospitals was named; else say that they are kept."""
    if len(sys.argv) > 1:
        return secagg_accuracy.accuracy_figures(Path(sys.argv[1]))
    Console().print("No DATA=DIR was given: the differences in AUROC stay those of an earlier run.")
    return {}


if __name__ == "__main__":
    of_hospital = hospital_figures()
    measured = mask_figures() | of_hospital | over_epoch(of_hospital) | server_figures()
    report("secagg", known("secagg") | measured | accuracy(), MEANINGS | secagg_accuracy.MEANINGS)
