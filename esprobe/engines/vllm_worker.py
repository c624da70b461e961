"""Perturbs the weights inside vLLM's worker, by the names of the checkpoint, and proves that the whole model was perturbed.

vLLM imports this module in every worker process before it loads the model, and mixes `Perturber` into its worker class. Knows
weights and noise; must not know prompts, tokens or sampling.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from math import nan
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional
from vllm.model_executor.layers import utils as layers
from vllm.model_executor.model_loader.default_loader import DefaultModelLoader
from vllm.platforms import current_platform
from vllm.v1.kv_cache_interface import KVCacheConfig

from esprobe.arms import BASE, NoiseScheme, Perturbation, Update, Weights
from esprobe.engines import vllm_cpu_sampling
from esprobe.engines.vllm_contents import checkpoint_files, content, elements, padding, parameters, wrap
from esprobe.engines.vllm_places import Places
from esprobe.weights import perturb
from esprobe.weights import rounding as noise_rounding
from esprobe.weights.update import Base

SPARE_BYTES = 2 << 30  # of an accelerator's memory: what making noise and running the model need, apart from a second copy

pack_cpu_linear = layers.dispatch_cpu_unquantized_gemm


def keep_cpu_linear(layer: Any, remove_weight: bool) -> None:
    """Takes the place of vLLM's packing of linear weights on a CPU, after which they could no longer be written to."""
    if layer.weight.ndim == 2:
        layer.cpu_linear = functional.linear
    else:
        pack_cpu_linear(layer, remove_weight)


if current_platform.is_cpu():
    layers.dispatch_cpu_unquantized_gemm = keep_cpu_linear
    # The CPU's attention multiplies what an earlier rollout left in a block by zero, and zero times NaN is NaN.
    cache_config: Any = KVCacheConfig
    cache_config.needs_kv_cache_zeroing = property(lambda _: True)
    vllm_cpu_sampling.install()


load_weights = DefaultModelLoader.load_weights


def load_and_look(loader: Any, model: Any, model_config: Any) -> None:
    """Takes the place of vLLM's loading: notes which parameters the checkpoint has no numbers for.

    vLLM's own check leaves linear layers out, and what is not loaded is whatever was in memory. Quantized models have
    parameters that no checkpoint has, and are left to that check.
    """
    watched = {} if model_config.quantization else parameters(model)
    for weight in watched.values():
        weight.fill_(nan)
    load_weights(loader, model, model_config)
    model.esprobe_lost = [name for name, weight in watched.items() if weight.isnan().any()]


DefaultModelLoader.load_weights = load_and_look


class NotTheWholeModelError(Exception):
    """What was perturbed, or would be, is not the whole model; the message says what is wrong, for the user."""


class Perturber:
    """What the worker can do beyond vLLM's own: the `esprobe_…` functions, called by name from the backend."""

    def esprobe_set_weights(
        self, updates: Sequence[dict[str, Any]], noise: tuple[NoiseScheme, int, float] | None
    ) -> tuple[str | None, int, int]:
        """Sets the weights to those after the updates (records of `Update`), with noise (scheme, seed, σ) on top.

        Returns why that was refused, if it was, and the elements of this worker and of the checkpoint. A value and no
        exception, because exceptions lose their kind between processes.
        """
        refused: str | None = getattr(self, "_esprobe_refused", None)  # once is for good: the weights may be half written
        if refused:
            return refused, 0, 0
        try:
            if not hasattr(self, "_esprobe_weights"):
                self._esprobe_weights = self.esprobe_weights()
            weights = self._esprobe_weights
            with torch.no_grad():
                weights.set(Weights(tuple(map(Update.of, updates)), None if noise is None else Perturbation(*noise)))
        except NotTheWholeModelError as error:
            self._esprobe_refused = str(error)
            return self._esprobe_refused, 0, 0
        return None, weights.held, weights.wanted

    def esprobe_lost(self) -> list[str]:
        """The parameters that the checkpoint had no numbers for."""
        worker: Any = self
        lost: list[str] = worker.model_runner.model.esprobe_lost
        return lost

    def esprobe_rounding(self) -> dict[str, tuple[float, ...]]:
        """What rounding leaves of the perturbation that is set, as `rounding.Sums` of each group of weights."""
        with torch.no_grad():
            sums = self._esprobe_weights.rounding()
        return {name: astuple(found) for name, found in sums.items()}

    def esprobe_weights(self) -> "LiveWeights":
        """The live weights of this worker's model."""
        worker: Any = self
        config = worker.model_config
        if getattr(config, "use_mla", False):
            # its attention runs on matrices computed once from the weights
            raise NotTheWholeModelError(
                "vLLM keeps products of this model's weights (latent attention), which noise cannot reach"
            )
        alone = worker.parallel_config.world_size == 1
        return LiveWeights(worker.model_runner.model, Path(config.model), config.dtype, alone)

    def esprobe_nan(self) -> bool:
        """Whether a logit was not a number since the last call; then the cache of keys and values is zeroed, so that nothing
        of it reaches another rollout, and the caller must empty the prefix cache. The first call begins to watch.
        """
        worker: Any = self
        if not hasattr(self, "_esprobe_nan"):
            model = worker.model_runner.model
            self._esprobe_nan = torch.zeros((), dtype=torch.bool, device=worker.device)
            model.compute_logits = _watched(model.compute_logits, self._esprobe_nan)
        found = bool(self._esprobe_nan)
        if found:
            self._esprobe_nan.zero_()
            for cache in worker.model_runner.kv_caches:
                cache.zero_()
        return found


class LiveWeights:
    """The parameters of a running model, and the base they are computed from: always from it, never back from themselves."""

    def __init__(self, model: Any, folder: Path, dtype: torch.dtype, alone: bool) -> None:
        """`dtype` is the engine's; `alone` says that this worker has all of the model and not a shard of it."""
        self.model, self.folder, self.dtype, self.alone = model, folder, dtype, alone
        self.live: dict[str, Tensor] = parameters(model)
        self.device = next(iter(self.live.values())).device
        # Asked of the engine, since it unties where checkpoint and config disagree, as transformers does.
        self.tied = not any(name.endswith("lm_head.weight") for name in self.live)
        self.held = sum(weight.numel() for weight in self.live.values())
        self.wanted = 0
        self.prints: dict[str, int] = {}  # of every live parameter as the engine loaded it
        self.base = Base(self.read_checkpoint, self.device)  # by the checkpoint's names; empty until it is needed
        self.parameters: dict[str, Tensor] = {}  # the base by the engine's names; empty until `shared-seed` needs it
        self.proven = False
        self.places: dict[str, Tensor] | None = None  # by the checkpoint's names, once it is proven that they are right
        self.current = BASE

    def set(self, weights: Weights) -> None:
        """Writes them into the live parameters. Raises NotTheWholeModelError, after which the engine is of no use."""
        if not self.prints:
            self.check_layout()
            self.prints = {name: content(weight, ordered=True) for name, weight in self.live.items()}
        if weights.updates != self.base.updates:
            self.parameters = {}
            self.open_checkpoint()
            self.base.reach(weights.updates)
        self.write_weights(weights.perturbation)
        self.current = weights

    def write_weights(self, perturbation: Perturbation | None) -> None:
        """Writes base + σ·noise, or the base, into the live parameters."""
        if perturbation is not None and perturbation.scheme == "shared-seed":
            self.open_parameters()
            self.write_parameters(perturbation)
            return
        if perturbation is None and self.parameters:
            for name, weight in self.live.items():
                weight.copy_(self.parameters[name])
            return
        self.open_checkpoint()
        if self.places and self.beside():
            self.write_places(perturbation)
        elif perturbation is None or self.proven:
            self.write(self.stream(perturbation))
        else:
            self.prove(perturbation)

    def write_places(self, perturbation: Perturbation | None) -> None:
        """Writes them where the loader would: without a copy on the way, and without the loader's work for each tensor."""
        assert self.places is not None
        if perturbation is not None:
            perturb.perturb_all(self.places, self.base.weights, perturbation)
            return
        for name, weight in self.base.weights.items():
            self.places[name].copy_(weight)

    def write(self, pairs: Iterator[tuple[str, Tensor]]) -> None:
        """Hands (checkpoint name, tensor) to the model's own loader, which fuses and shards them."""
        self.model.load_weights(pairs)

    def stream(self, perturbation: Perturbation | None) -> Iterator[tuple[str, Tensor]]:
        """(checkpoint name, base + σ·noise) of every tensor, on the device and in the engine's dtype."""
        for names in perturb.runs(self.base.weights):
            base = {name: self.base.weights[name].to(self.device, non_blocking=True) for name in names}
            if perturbation is None:
                weights = {name: tensor.to(self.dtype) for name, tensor in base.items()}
            else:
                weights = {name: torch.empty_like(tensor, dtype=self.dtype) for name, tensor in base.items()}
                perturb.perturb_all(weights, base, perturbation)
            yield from weights.items()

    def rounding(self) -> dict[str, noise_rounding.Sums]:
        """What rounding leaves of the perturbation that is set."""
        perturbation = self.current.perturbation
        assert perturbation is not None
        base = self.parameters if perturbation.scheme == "shared-seed" else self.base.weights
        held = None if base is self.parameters else self.dtype
        return noise_rounding.measure(((name, weight.to(self.device)) for name, weight in base.items()), perturbation, held)

    def check_layout(self) -> None:
        """Every linear layer reads its weight where we write it, and the model has as many elements as its checkpoint."""
        empty = sorted(name for name, weight in self.live.items() if not weight.numel())
        if empty:
            raise NotTheWholeModelError(f"vLLM has packed away {len(empty)} of {len(self.live)} weights, {empty[0]!r} for one")
        for name, module in self.model.named_modules():
            if getattr(module, "cpu_linear", functional.linear) is not functional.linear:
                raise NotTheWholeModelError(f"vLLM computes {name!r} from a packed copy of its weight")
        few = [name for name, p in self.model.named_parameters() if not p.is_floating_point() or p.dtype.itemsize < 2]
        if few:
            raise NotTheWholeModelError(f"vLLM keeps {few[0]!r} in too few bits for noise")
        files = checkpoint_files(self.folder, self.tied)
        self.wanted = sum(elements(path, name) for name, path in files.items())
        filling = sum(padding(self.model).values())
        if self.alone and self.held - filling != self.wanted:
            raise NotTheWholeModelError(f"vLLM has {self.held - filling:,} weights, the checkpoint {self.wanted:,}")

    def open_checkpoint(self) -> None:
        """Reads the base from the checkpoint, once, and checks that reloading it restores every parameter bit for bit."""
        if self.base.weights:
            return
        self.base.reach(())
        for weight in self.live.values():
            weight.fill_(nan)  # so that what the loader does not reach is seen
        try:
            self.write(self.stream(None))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # each model's loader has its own way of not knowing a tensor
            raise NotTheWholeModelError(f"vLLM does not take the checkpoint's weights twice ({error})") from error
        for name, weight in self.live.items():
            if content(weight, ordered=True) != self.prints[name]:
                raise NotTheWholeModelError(f"writing the checkpoint's weights into vLLM does not restore {name!r}")

    def read_checkpoint(self, precise: bool) -> dict[str, Tensor]:
        """The root's weights, in the engine's dtype or in float32: see `Base`."""
        files, found = checkpoint_files(self.folder, self.tied), {}
        dtype = torch.float32 if precise else self.dtype
        keep = _keeper(self.device, self.wanted * dtype.itemsize)
        for path in sorted(set(files.values())):
            with safe_open(path, framework="pt") as file:
                for name in (name for name, where in files.items() if where == path):
                    tensor = file.get_tensor(name)
                    if tensor.is_floating_point():
                        found[name] = keep(tensor.to(dtype))
        return found

    def prove(self, perturbation: Perturbation) -> None:
        """Writes a perturbation: the model's weights are then those that were streamed, element for element in some order.

        One of several shards has only a part of them; for it the reload, which reached every element, is the proof.
        """
        streamed, places = 0, Places()

        def counted() -> Iterator[tuple[str, Tensor]]:
            nonlocal streamed
            for name, weight in self.stream(perturbation):
                streamed = wrap(streamed + content(weight))
                yield name, weight

        pairs = places.watched(counted())
        with places:
            self.write(pairs)
        if self.alone and wrap(sum(map(content, self.live.values()))) != streamed:
            raise NotTheWholeModelError("vLLM's weights after a perturbation are not the perturbed ones")
        self.learn(places, perturbation)
        self.proven = True

    def learn(self, places: Places, perturbation: Perturbation) -> None:
        """Keeps the places that the loader was seen to use, if writing there makes the same weights, bit for bit."""
        prints = {name: content(weight, ordered=True) for name, weight in self.live.items()}
        self.places = places.found(self.live, {name: weight.numel() for name, weight in self.base.weights.items()})
        if not self.places or not self.beside():
            return
        self.write_places(perturbation)
        if any(content(weight, ordered=True) != prints[name] for name, weight in self.live.items()):
            self.places = None
            self.write(self.stream(perturbation))

    def beside(self) -> bool:
        """Whether the base is where the live weights are, and not in the host's memory for want of room."""
        return all(weight.device == self.device for weight in self.base.weights.values())

    def open_parameters(self) -> None:
        """Copies the base in the engine's layout, once, from an engine with base weights."""
        if self.parameters:
            return
        if self.base.weights:
            self.write(self.stream(None))
        keep = _keeper(self.device, sum(weight.nbytes for weight in self.live.values()))
        self.parameters = {name: keep(weight.clone()) for name, weight in self.live.items()}

    def write_parameters(self, perturbation: Perturbation) -> None:
        """The published scheme: in the engine's order, fused as the engine has them, in their own dtype."""
        for name, weight in self.live.items():
            perturb.perturb(weight, self.parameters[name].to(self.device, non_blocking=True), name, perturbation)


def _keeper(device: torch.device, needed: int) -> Callable[[Tensor], Tensor]:
    """Where a base of `needed` bytes is kept: on the device if it has room for it, otherwise in pinned host memory."""
    if device.type != "cuda":
        return lambda tensor: tensor.to(device)
    free, _ = torch.cuda.mem_get_info(device)
    if free >= needed + SPARE_BYTES:
        return lambda tensor: tensor.to(device)
    return lambda tensor: tensor.cpu().pin_memory()


def _watched(compute_logits: Callable[..., Tensor | None], flag: Tensor) -> Callable[..., Tensor | None]:
    def watched(*args: Any, **kwargs: Any) -> Tensor | None:
        logits = compute_logits(*args, **kwargs)
        if logits is not None:  # only one of several shards has them
            flag.logical_or_(~logits.amax(-1).isfinite().all())  # one that is not a number makes the largest none
        return logits

    return watched
