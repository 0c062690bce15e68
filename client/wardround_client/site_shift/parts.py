"""How a study's measure takes a network apart: what is shared, and what stays at each hospital."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from wardround_client import networks, site_shift
from wardround_client.site_shift.contract import Stays
from wardround_common.errors import ModelError
from wardround_common.installed import installed
from wardround_common.messages.parameters import Layout, Vector
from wardround_common.site_shift.contract import Measure
from wardround_common.study.file import Study

STAYS: dict[str, Stays] = {one.name: one for one in installed(site_shift, "STAYS", Stays, besides=__name__)}
"""The hospital's half of each measure of ``MEASURES``."""


@dataclass(frozen=True)
class Parts:
    """The tensors of a network, by whose they are."""

    shared: Layout
    """What is sent, summed and averaged."""
    own: Layout
    """What stays at each hospital; of a model beside the shared one the same as ``shared``; empty without a measure."""
    first: Vector = field(repr=False)
    """What stays, as the study's seed gives it."""


def parts_of(network: nn.Module, study: Study) -> Parts:
    """Take a network apart that is as the study's seed gives it.

    Raises:
        StudyError: it has no such part as the study wants to stay.
    """
    whole, measure = networks.layout_of(network), study.training.measure
    if measure is None:
        own = Layout((), ())
    elif measure.beside:
        return Parts(whole, whole, networks.read_vector(network))
    else:
        own = _some(whole, STAYS[measure.name].tensors(network, study), there=True)
    shared = _some(whole, frozenset(own.names), there=False)
    return Parts(shared, own, networks.read_vector(network, own))


def complete(network: nn.Module, study: Study, content: bytes, *, where: str) -> Measure | None:
    """Put the content of ``model.safetensors`` into a network that is as the study's seed gives it.

    Return the measure whose part of it is as before the first round, since no hospital's own is in the file; None if
    the file has everything.

    Raises:
        ModelError: it is no model of Wardround, of another study or network, or tells nothing without a hospital's own
            part.
    """
    whole, measure = networks.layout_of(network), study.training.measure
    if measure is None or measure.beside or frozenset(whole.names) == networks.names_in(content, study, where=where):
        networks.write_vector(network, whole, networks.read_whole(content, study, network, where=where))
        return None
    shared = parts_of(network, study).shared
    vector = networks.read_weights(content, study, shared, where=where)
    if not measure.usable:
        raise ModelError(
            "this model is not complete: each hospital kept the last layer of its own",
            where=where,
            do="A hospital that trained it adds its own: wardround hospital own MODEL --out DIR",
        )
    networks.write_vector(network, shared, vector)
    return measure


def _some(whole: Layout, names: frozenset[str], *, there: bool) -> Layout:
    """Return the layout of those tensors that are, or are not, among some names."""
    chosen = [(name, shape) for name, shape in zip(whole.names, whole.shapes, strict=True) if (name in names) == there]
    return Layout(tuple(name for name, _ in chosen), tuple(shape for _, shape in chosen))
