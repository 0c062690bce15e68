"""A graphics card that is not there: what the real code puts on it is computed on the CPU, and all it does is watched.

A tensor on it says that it lies on ``cuda:0`` and holds one of the CPU, so the code under test takes every turn that it
takes for a card, and its numbers can be compared with the CPU's. As a card would, it refuses to compute with tensors of
both places (numbers of no dimension aside, which torch hands over with the kernel). Beyond that it can refuse whatever
makes the program wait until the card has done its work (``Card.strictly``), counts what it was asked to start, counts
the bytes that are alive, and has no more of them than it was given.

It is no card: it says nothing of time, of rounding, of kernels that torch lacks there, or of what a kernel takes for
itself while it runs.
"""

from __future__ import annotations

import importlib
import os
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map_only, tree_unflatten
from torch.utils.weak import WeakIdKeyDictionary

from wardround_client.training import local_work, noise, optimiser, supply

CUDA = torch.device("cuda:0")
THERE = ("cuda", "meta")
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
FREE = 1 << 40
COPIES = {"aten::_to_copy", "aten::copy_"}
INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
NO_KERNEL = {"aten::empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty", "aten::new_empty_strided"}
NO_KERNEL |= {"aten::detach", "aten::_unsafe_view", "aten::_local_scalar_dense", "aten::lift_fresh", "aten::is_pinned"}
NO_KERNEL |= {"aten::squeeze_", "aten::unsqueeze_"}


class MixedDevicesError(AssertionError):
    """An operation was given tensors of both places."""


class WaitError(AssertionError):
    """The program would have waited until the card has done its work."""


class OnCard(torch.Tensor):
    """A tensor on the card: it says that it is there, and holds one that is here."""

    here: torch.Tensor
    card: Card
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, here: torch.Tensor, card: Card) -> OnCard:
        """Put a tensor of the CPU there."""
        made: OnCard = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, here.shape, here.stride(), here.storage_offset(), dtype=here.dtype, device="meta"
        )
        made.here, made.card = here, card
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Say where it lies; to torch's own C++, which has no CUDA here, it is one without numbers."""
        return CUDA

    is_cuda, is_meta = True, False  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        """Compute with it where no card is watching, such as in a thread of autograd."""
        one = next(leaf for leaf in tree_leaves((given, named or {})) if isinstance(leaf, OnCard))
        return one.card.computed(operation, given, named or {})


class Card(TorchDispatchMode):
    """What is put on the card and asked of it, while this is entered."""

    def __init__(self, *, numbers: bool = True, room: int = FREE) -> None:
        """Begin with an empty card of ``room`` bytes; without ``numbers`` nothing is computed but shapes."""
        super().__init__()
        self.numbers, self.room = numbers, room
        self.started: Counter[str] = Counter()
        self.alive = self.peak = 0
        self.strict = False
        self.waits: list[str] = []
        self._pinned = WeakIdKeyDictionary()  # storages
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, operation: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        """Compute one operation of the thread that entered the card."""
        return self.computed(operation, given, named or {})

    @contextmanager
    def strictly(self) -> Iterator[None]:
        """Refuse to wait for the card."""
        before, self.strict = self.strict, True
        try:
            yield
        finally:
            self.strict = before

    @contextmanager
    def strictly_between(self, steps: int) -> Iterator[None]:
        """Refuse to wait for the card from the end of an optimiser's first step to that of the last of ``steps``."""
        made = 0

        def watched(*given: Any) -> optimiser.Optimiser:
            found = optimiser.optimiser_of(*given)
            step = found.step

            def counted() -> None:
                nonlocal made
                step()
                made += 1
                self.strict = 1 <= made < steps

            found.step = counted  # type: ignore[method-assign]
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(local_work, "optimiser_of", watched)
            try:
                yield
            finally:
                self.strict = False
        assert made == steps, f"{made} steps and not {steps} were made"

    def reset(self) -> None:
        """Forget what was counted."""
        self.started.clear()
        self.peak = self.alive
        self.waits.clear()

    def computed(self, operation: Any, given: Any, named: dict[str, Any]) -> Any:
        """Compute an operation where its tensors are said to be."""
        name = operation._schema.name
        leaves, form = tree_flatten((given, named))
        there = [leaf for leaf in leaves if isinstance(leaf, OnCard)]
        asked = named.get("device")
        goes = torch.device(asked) if asked is not None else None
        if name == "aten::is_pinned":
            return given[0].untyped_storage() in self._pinned
        if name == "aten::_pin_memory" or named.get("pin_memory"):
            named = {key: value for key, value in named.items() if key not in ("pin_memory", "device")}
            copy = given[0].clone() if name == "aten::_pin_memory" else operation(*given, **named)
            self._pinned[copy.untyped_storage()] = True
            return copy
        if not there and (goes is None or goes.type not in THERE):
            return operation(*given, **named)
        crossing = name in COPIES
        if name == "aten::clone" and (node := torch._C._current_autograd_node()) and "AccumulateGrad" in node.name():
            return OnCard(given[0].here, self)  # which torch keeps as it is where no such object stands for it
        if name == "aten::_to_copy" and there and (goes is None or goes.type in THERE):
            kind = named.get("dtype")
            if goes is not None and kind in (None, given[0].dtype) and named.get("memory_format") is None:
                return OnCard(given[0].here, self)  # it lies there already
        if not crossing:
            self._check_places(name, tree_leaves((given[0], given[2:])) if name in INDEXED else leaves)
        result_there = bool(there)
        if goes is not None:
            result_there = goes.type in THERE
        if name == "aten::copy_":
            result_there = isinstance(given[0], OnCard)
        self._check_waits(operation, name, given, named, leaves, result_there)
        self._count(operation, name)
        inner = [self._inside(leaf) for leaf in leaves]
        given_here, named_here = tree_unflatten(inner, form)
        if goes is not None:
            named_here["device"] = torch.device("meta" if result_there and not self.numbers else "cpu")
        named_here.pop("non_blocking", None) if name == "aten::_to_copy" else None
        if not self.numbers and not result_there and crossing:  # numbers that nobody knows
            if name == "aten::copy_":
                return given[0].zero_()
            kind = named.get("dtype") or given[0].dtype
            return torch.zeros(given[0].shape, dtype=kind)
        if not self.numbers and name == "aten::_local_scalar_dense":
            return given[0].dtype == torch.bool  # of what is asked about numbers the answer is yes: they are finite
        found = operation(*given_here, **named_here)
        if not result_there:
            return found
        same = {id(leaf.here): leaf for leaf in there}

        def outside(one: torch.Tensor) -> torch.Tensor:
            if id(one) in same:
                return same[id(one)]
            self._note(one)
            return OnCard(one, self)

        return tree_map_only(torch.Tensor, outside, found)

    def _inside(self, leaf: Any) -> Any:
        if isinstance(leaf, OnCard):
            return leaf.here
        if isinstance(leaf, torch.device) and leaf.type in THERE:
            return torch.device("cpu" if self.numbers else "meta")
        if isinstance(leaf, torch.Tensor) and not self.numbers and leaf.dim():
            return leaf.to("meta")
        return leaf

    def _check_places(self, name: str, leaves: list[Any]) -> None:
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        here = [leaf for leaf in tensors if not isinstance(leaf, OnCard) and leaf.dim()]
        if here and len(here) < len(tensors):
            shape = tuple(here[0].shape)
            raise MixedDevicesError(f"{name} was given a tensor of the CPU, {shape}, and one of the card")

    def _check_waits(
        self, operation: Any, name: str, given: Any, named: dict[str, Any], leaves: list[Any], to_card: bool
    ) -> None:
        why = ""
        if name in INDEXED:
            chosen = [one for one in tree_leaves(given[1]) if isinstance(one, torch.Tensor)]
            if any(one.dtype in (torch.bool, torch.uint8) for one in chosen):
                why = "reads a mask"
            elif any(not isinstance(one, OnCard) for one in chosen) and isinstance(given[0], OnCard):
                why = "copies an index to the card"
        elif torch.Tag.data_dependent_output in operation.tags or torch.Tag.dynamic_output_shape in operation.tags:
            why = "reads a value"
        if name in COPIES:
            source = given[1] if name == "aten::copy_" else given[0]
            without = named.get("non_blocking") or (name == "aten::copy_" and len(given) > 2 and given[2])
            if isinstance(source, OnCard) and not to_card:
                why = "copies from the card"
            elif not isinstance(source, OnCard) and to_card and (source.dim() or name == "aten::_to_copy"):
                if not without:
                    why = "copies to the card and waits for it"
                elif source.untyped_storage() not in self._pinned:
                    why = "copies to the card from memory that is not pinned"
        if why:
            self.waits.append(f"{name} {why}")
            if self.strict:
                raise WaitError(f"{name} {why}")

    def _count(self, operation: Any, name: str) -> None:
        views = all(one.alias_info is not None and not one.alias_info.is_write for one in operation._schema.returns)
        if name not in NO_KERNEL and not (views and operation._schema.returns):
            self.started[name] += 1

    def _note(self, one: torch.Tensor) -> None:
        storage = one.untyped_storage()
        if storage in self._known:
            return
        size = storage.nbytes()
        if self.alive + size > self.room:
            raise torch.cuda.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes.")
        self._known[storage] = size
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._freed, size)

    def _freed(self, size: int) -> None:
        self.alive -= size


class _Beside(TorchDispatchMode):
    """The card as another thread of the program sees it."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.card = card

    def __torch_dispatch__(self, operation: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        return self.card.computed(operation, given, named or {})


@contextmanager
def pretend_card(*, numbers: bool = True, room: int = FREE, says_free: int | None = None) -> Iterator[Card]:
    """Let ``cuda:0`` be a pretended card in this process, and in the threads that make noise and gather images.

    ``room``: its bytes; ``says_free``: how many it says are free, if not those that are.
    """
    card = Card(numbers=numbers, room=room)

    def free() -> int:
        return card.room - card.alive if says_free is None else says_free

    class Watched(ThreadPoolExecutor):
        def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Any:
            def watched() -> Any:
                with _Beside(card):
                    return work(*given, **named)

            return super().submit(watched)

    with pytest.MonkeyPatch.context() as patch, _as_before():
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch.cuda, "mem_get_info", lambda device=None: (free(), card.room))
        patch.setattr(torch.cuda, "empty_cache", lambda: None)
        patch.setattr(torch.Tensor, "pin_memory", lambda tensor: torch.ops.aten._pin_memory(tensor))
        kinds = [torch.Tensor, torch.nn.Parameter, OnCard]
        patch.setattr(importlib.import_module("torch.optim.optimizer"), "_foreach_supported_types", kinds)
        patch.setattr(noise, "ThreadPoolExecutor", Watched)
        patch.setattr(supply, "ThreadPoolExecutor", Watched)
        with card:
            yield card


@contextmanager
def _as_before() -> Iterator[None]:
    """Put back what a process sets for a card, and let a network that moves keep its weights' names."""
    swaps, workspace = torch.__future__.get_swap_module_params_on_conversion(), os.environ.get(WORKSPACE)
    certain, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    places = [(torch.backends.cuda.matmul, "allow_tf32"), (torch.backends.cudnn, "allow_tf32")]
    places += [(torch.backends.cudnn, "benchmark"), (torch.backends.cudnn, "deterministic")]
    places += [(torch.utils.deterministic, "fill_uninitialized_memory")]
    before = [getattr(place, name) for place, name in places]
    torch.__future__.set_swap_module_params_on_conversion(True)
    lifts = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor() then makes its tensor here, and sends it
    try:
        with warnings.catch_warnings():
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(lifts)
        torch.__future__.set_swap_module_params_on_conversion(swaps)
        torch.use_deterministic_algorithms(certain, warn_only=warns)
        for (place, name), value in zip(places, before, strict=True):
            setattr(place, name, value)
        os.environ.pop(WORKSPACE, None) if workspace is None else os.environ.update({WORKSPACE: workspace})
