"""The backend on plain Hugging Face transformers: any machine, CPU or CUDA, no engine to install.

It has its own small decoding loop, so that the random stream of a rollout belongs to the rollout and not to its batch, and rows
that have ended stop costing time. On a CPU two halves of a small model's batch are decoded side by side.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from typing import Any

import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging

from esprobe.arms import BASE, Weights
from esprobe.engines.backend import Decoding, Generation, OutOfMemoryError
from esprobe.engines.checkpoint import load, unreached
from esprobe.engines.choice import choose
from esprobe.engines.forward import Forward
from esprobe.engines.models import ModelFiles, beyond_embedding
from esprobe.engines.probe import UnreadableModelError, fitting
from esprobe.engines.rows import Rows
from esprobe.errors import UserError
from esprobe.weights import low_rank, perturb, philox
from esprobe.weights import rounding as noise_rounding
from esprobe.weights.rounding import Rounding
from esprobe.weights.update import Base

# Below this size a second thread within an operation wins little, and waiting for it costs fifty-fold when another process has
# its core. Two threads with half of a batch each wait for each other only at its end.
SMALL = 10_000_000  # parameters
SIDE_BY_SIDE = 2  # threads, at most: between operations they take turns, so that each further one would win less
FEWEST = 32  # rows that are worth a thread: two with 16 each are slower than one with all
COMPACT_BELOW = 0.75  # drop ended rows once fewer than this share of the rows is still going


class TransformersBackend:
    """Keeps the live model and a copy of its base weights on the same device."""

    def __init__(self, model: ModelFiles, dtype: str, end_ids: Sequence[int]) -> None:
        """Loads the model in `dtype` (a torch dtype's name) on CUDA if there is one. Raises UserError."""
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours is the only one
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        live = load(model, dtype)
        self.files, self.name, self.dtype = model, model.name, dtype
        small = self.device.type == "cpu" and live.num_parameters() < SMALL
        self.given = torch.get_num_threads()  # what `close` leaves to others
        with _out_of_memory_is(f"model {model.name!r} does not fit into memory in {dtype}; use a smaller --dtype"):
            self.model = live.to(self.device).eval().requires_grad_(False)
            try:
                self.forwards = fitting(self.model).twins(min(SIDE_BY_SIDE, self.given) if small else 1)
            except UnreadableModelError as error:
                raise UserError(
                    f"model {model.name!r}: the transformers backend cannot decode it correctly ({error}); use --backend vllm"
                ) from error
        self.threads = ThreadPoolExecutor(SIDE_BY_SIDE - 1)
        if len(self.forwards) > 1:
            self.threads.submit(int).result()  # starts it: once memory is short, there may be none for a thread
        if small:
            torch.set_num_threads(1)
        self.end_ids = tuple(end_ids)
        stated = getattr(live.config.get_text_config(), "max_position_embeddings", None)
        self.context_length = min(model.context_length(), stated if isinstance(stated, int) else 1 << 30)
        self.vocabulary = live.get_input_embeddings().num_embeddings
        self.weights: dict[str, Tensor] = {n: p.data for n, p in self.model.named_parameters() if p.is_floating_point()}
        self.linear = linear_layers(self.model)
        self.base = Base(self._root, self.device)
        self.prepared = False
        self.current = BASE

    def set_weights(self, weights: Weights) -> None:
        """See Backend. The base is copied once, before the first change, and never computed back."""
        if weights == self.current:
            return
        self._forget()  # first, for the copy of the base may need its memory
        self.prepare()
        with _telling_out_of_memory():
            self.base.reach(weights.updates)
        if weights.perturbation is None:
            for name, weight in self.weights.items():
                weight.copy_(self.base.weights[name])
        elif weights.perturbation.scheme == "low-rank":
            if not self.linear or any("expert" in name and weight.dim() > 2 for name, weight in self.weights.items()):
                raise UserError(f"model {self.name!r}: not all of its matrices are linear layers of their own; use --noise iid")
            low_rank.perturb_linear(self.weights, self.base.weights, self.linear, weights.perturbation)
        else:
            perturb.perturb_all(self.weights, self.base.weights, weights.perturbation)
        self.current = weights

    def _root(self, precise: bool) -> dict[str, Tensor]:
        """The weights of the model's files on the device, in its dtype or in float32: see `Base`."""
        if self.current == BASE and (self.dtype == "float32" or not precise):
            return {name: weight.clone() for name, weight in self.weights.items()}
        root = dict(load(self.files, "float32" if precise else self.dtype).named_parameters())
        return {name: root.pop(name).data.to(self.device) for name in self.weights}

    def prepare(self) -> None:
        """See Backend."""
        if not self.prepared and (reason := unreached(self.model, self.files)):
            raise UserError(f"model {self.name!r}: {reason}")
        self.prepared = True

    def rounding(self, weights: Weights) -> dict[str, Rounding]:
        """See Backend."""
        assert weights.perturbation is not None
        self.set_weights(weights)
        touched = self.linear if weights.perturbation.scheme == "low-rank" else self.base.weights.keys()
        base = [(name, weight) for name, weight in self.base.weights.items() if name in touched]
        found = noise_rounding.measure(base, weights.perturbation, self.model.dtype)
        return {name: sums.rounding for name, sums in found.items()}

    def generate(self, prompts: Sequence[Sequence[int]], decoding: Decoding) -> list[Generation]:
        """See Backend: one batch, padded on the left; prompts of each length apart where the model cannot be padded."""
        longest, largest = max(map(len, prompts)), max(max(prompt) for prompt in prompts)
        if longest >= self.context_length:
            raise UserError(f"a prompt has {longest} tokens, but model {self.name!r} reads at most {self.context_length}")
        if largest >= self.vocabulary:
            raise UserError(beyond_embedding(self.name, largest, self.vocabulary))
        # Padding takes up positions: beyond the context many models have none.
        padded = self.forwards[0].pads and longest + decoding.max_new_tokens <= self.context_length
        together = [range(len(prompts))] if padded else list(_by_length(prompts).values())
        made: dict[int, Generation] = {}
        try:
            with _telling_out_of_memory():
                for rows in together:
                    keys = tuple(decoding.keys[row] for row in rows) if decoding.keys else ()
                    part = self._side_by_side([prompts[row] for row in rows], replace(decoding, keys=keys))
                    made |= dict(zip(rows, part, strict=True))
        except OutOfMemoryError:
            self._forget()
            raise
        return [made[row] for row in range(len(prompts))]

    def _forget(self) -> None:
        for forward in self.forwards:
            forward.forget()

    def _side_by_side(self, prompts: Sequence[Sequence[int]], decoding: Decoding) -> list[Generation]:
        """One batch, in as many parts of one size as there are threads for them."""
        count = max(1, min(len(self.forwards), len(prompts) // FEWEST))
        size = -(-len(prompts) // count)
        parts = [slice(start, start + size) for start in range(0, len(prompts), size)]
        stop = Event()

        def work(forward: Forward, part: slice) -> list[Generation]:
            return self._generate(forward, prompts[part], decoding.part(part), stop)

        others = [self.threads.submit(work, forward, part) for forward, part in zip(self.forwards[1:], parts[1:], strict=False)]
        try:
            made = work(self.forwards[0], parts[0])
            return made + [generation for other in others for generation in other.result()]
        except BaseException:  # memory is short, or the user has stopped the command: nobody wants the others' either
            stop.set()
            wait(others)
            raise

    @torch.inference_mode()
    def _generate(self, forward: Forward, prompts: Sequence[Sequence[int]], decoding: Decoding, stop: Event) -> list[Generation]:
        limits = [min(decoding.max_new_tokens, self.context_length - len(prompt)) for prompt in prompts]
        uniforms = philox.uniforms(decoding.keys, max(limits)).to(self.device) if decoding.temperature else None
        rows = Rows(limits, self.end_ids)
        # every draw of a perturbation arm is another model; what is not perturbed reads the same prompts again
        remember = self.current.perturbation is None
        logits = forward.start([list(prompt) for prompt in prompts], remember)  # (B, vocabulary)
        for step in range(max(limits)):
            if stop.is_set():
                break
            token = choose(logits, decoding, None if uniforms is None else uniforms[:, step])
            sane = logits.amax(-1).isfinite()  # one that is not a number makes the largest none
            if not rows.add(torch.where(sane, token, ~token).cpu().numpy()):  # the one time that the device is waited for
                break
            if forward.shrinks and rows.going.sum() < COMPACT_BELOW * len(rows.going):
                kept = torch.from_numpy(rows.keep()).to(self.device)
                forward.keep(kept)
                token, uniforms = token[kept], None if uniforms is None else uniforms[kept]
            logits = forward.step(token)
        return rows.generations()

    def close(self) -> None:
        """See Backend. A second call does nothing."""
        self.weights = {}
        self.threads.shutdown()
        torch.set_num_threads(self.given)
        for held in ("model", "forwards", "base"):
            vars(self).pop(held, None)


def linear_layers(model: Any) -> frozenset[str]:
    """The matrices of linear layers inside the model, by name: neither embeddings nor what turns states into logits."""
    head = model.get_output_embeddings()
    layers = (torch.nn.Linear, Conv1D)
    names = {f"{name}.weight" for name, part in model.named_modules() if isinstance(part, layers) and part is not head}
    return frozenset(name for name, weight in model.named_parameters() if name in names and weight.is_floating_point())


def _by_length(prompts: Sequence[Sequence[int]]) -> dict[int, list[int]]:
    """The positions of the prompts of each length."""
    found: dict[int, list[int]] = {}
    for row, prompt in enumerate(prompts):
        found.setdefault(len(prompt), []).append(row)
    return found


@contextmanager
def _out_of_memory_is(line: str) -> Iterator[None]:
    """Raises UserError with the line where memory runs out."""
    try:
        with _telling_out_of_memory():
            yield
    except OutOfMemoryError:
        raise UserError(line) from None


@contextmanager
def _telling_out_of_memory() -> Iterator[None]:
    """Raises OutOfMemoryError in place of the libraries' many kinds, once what did not fit is released."""
    try:
        yield
        return
    except (torch.OutOfMemoryError, MemoryError):
        pass
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise OutOfMemoryError
