"""What a sum is for, as the digest that all hospitals of the sum must agree on (docs/secagg.md, section 3)."""

from __future__ import annotations

from wardround_common.messages.parameters import vector_digest
from wardround_common.messages.rounds import EvaluateRequest, TrainRequest
from wardround_common.secagg.exchange import digest


def question_digest(request: TrainRequest | EvaluateRequest) -> bytes:
    """Return the SHA-256 of a question without its cohort.

    The parameters are in it. A coordinator that sends one hospital a model of its own, so that the others' updates
    vanish, gets a sum that does not open (Pasquini et al., *Eluding secure aggregation in federated learning via model
    inconsistency*, CCS 2022).
    """
    split = request.split if isinstance(request, EvaluateRequest) else ""
    parameters = bytes.fromhex(request.parameters_digest)
    words = [request.kind.encode(), str(request.round).encode(), split.encode(), parameters]
    if isinstance(request, EvaluateRequest) and request.everybody is not None:
        words.append(request.everybody.astype("<i8").tobytes())
    if isinstance(request, TrainRequest) and request.classes is not None:
        words.append(request.classes.to_vector().astype("<i8").tobytes())
    if isinstance(request, TrainRequest) and request.control is not None:
        words += [b"control", bytes.fromhex(vector_digest(request.control))]
    return digest(b"question", *words)


def evaluated_digest(request: EvaluateRequest) -> bytes:
    """Return the SHA-256 of what an evaluation is about, whichever round asks: the split and the parameters.

    A hospital answers it in one round only: sums of the same model over other survivors would give differences.
    """
    return digest(b"evaluated", request.split.encode(), bytes.fromhex(request.parameters_digest))
