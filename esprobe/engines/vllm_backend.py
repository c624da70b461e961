"""The backend on vLLM: every real model, on a GPU, and on a CPU with vLLM's CPU build.

The driver's side: starts the engine, turns prompts into requests, asks the worker for new weights. How weights are
perturbed and proven is in `vllm_worker`; this module never sees one.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isnan
from typing import Any

from esprobe.arms import BASE, Weights
from esprobe.engines.backend import Decoding, Finish, Generation
from esprobe.engines.model_files import stray_weights
from esprobe.engines.models import ModelFiles, beyond_embedding
from esprobe.errors import UserError, one_line
from esprobe.weights.rounding import Rounding, Sums

WORKER = "esprobe.engines.vllm_worker.Perturber"
LOWEST_TEMPERATURE = 0.01  # vLLM silently raises anything lower to this
HIGHEST_TEMPERATURE = 2.0  # and refuses anything higher
GPU_SHARE = 0.9  # of a GPU's memory, for the engine and our copy of the base
ENGINE_SHARE = 0.4  # what the engine must keep of it for the copy to stay on the GPU

_QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}  # the model is on this disk
_ON_CPU = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # a second process costs 20 s at the start and gains nothing
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # bound threads of two processes on one core: 25 times slower
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
}


class VllmBackend:
    """One vLLM engine, started once; its workers have the live weights and the base."""

    def __init__(
        self,
        model: ModelFiles,
        dtype: str,
        end_ids: Sequence[int],
        *,
        tensor_parallel: int = 1,
        trained: bool = False,
        worker: str = WORKER,
    ) -> None:
        """Starts the engine in `dtype` (a torch dtype's name). Raises UserError.

        `trained` leaves room for weights in float32. `worker` names the class mixed into vLLM's worker. Variables of the
        environment that steer vLLM are set where the user has not set them.
        """
        _refuse_strays(model)
        settings: dict[str, Any] = {"dtype": dtype, "tensor_parallel_size": tensor_parallel, "worker_extension_cls": worker}
        if tensor_parallel > 1:
            settings["distributed_executor_backend"] = "mp"  # processes of this machine, within an actor on Ray too
        settings |= _for_platform(model, "float32" if trained else dtype)
        self.name, self.quantized = model.name, model.quantized
        self.end_ids = list(end_ids)
        self.current = BASE
        self.prepared = False
        self.llm: Any = None
        try:
            with _silence_if_in_process():
                self.llm = _started(model, settings)
                self.llm.collective_rpc("esprobe_nan")
        except Exception as error:  # whatever an engine raises for a broken model or a full GPU
            self.close()
            raise UserError(f"model {model.name!r}: vLLM cannot run it ({one_line(error)})") from error
        try:
            self._check_loaded(model)
        except UserError:
            self.close()
            raise
        self.room: int = self.llm.model_config.max_model_len
        known = "max_position_embeddings" in model.config
        self.context_length = model.context_length() if known else self.room

    def _check_loaded(self, model: ModelFiles) -> None:
        """Raises UserError if the checkpoint had no numbers for some of the weights, or is not what was asked for."""
        reports = self.llm.collective_rpc("esprobe_lost")
        lost = [name for report in reports for name in report]
        if lost:
            more = f" and {len(set(lost)) - 1:,} more are" if len(set(lost)) > 1 else " is"
            raise UserError(
                f"model {self.name!r}: its checkpoint is not what its config.json describes: {lost[0]}{more} missing "
                "(or not a number)"
            )
        model.check_weights()
        model.check_unchanged()

    def set_weights(self, weights: Weights) -> None:
        """See Backend. Raises UserError where vLLM's layout of the model would leave weights as they are."""
        if weights != self.current:
            self._write(weights)

    def prepare(self) -> None:
        """See Backend: the base is written once more, from the checkpoint, which shows that all of it can be."""
        if not self.prepared:
            self._write(self.current)

    def rounding(self, weights: Weights) -> dict[str, Rounding]:
        """See Backend."""
        assert weights.perturbation is not None
        self.set_weights(weights)
        reports = self.llm.collective_rpc("esprobe_rounding")
        found: dict[str, Sums] = {}
        # `iid` noise is that of the whole checkpoint in each worker; `shared-seed` that of the worker's part of the model
        for report in reports[:1] if weights.perturbation.scheme == "iid" else reports:
            for name, sums in report.items():
                found.setdefault(name, Sums()).add(Sums(*sums))
        return {name: sums.rounding for name, sums in found.items()}

    def _write(self, weights: Weights) -> None:
        if self.quantized:
            raise UserError(
                f"model {self.name!r}: it is quantized: rounding to few bits would swallow the noise; use its original"
            )
        reports = self.llm.collective_rpc("esprobe_set_weights", args=plain(weights))
        refusals = [refusal for refusal, _, _ in reports if refusal]
        held, needed = sum(held for _, held, _ in reports), reports[0][2]
        if not refusals and held < needed:
            refusals = [f"its workers have {held:,} weights, the checkpoint {needed:,}"]
        if refusals:
            raise UserError(f"model {self.name!r}: perturbing it in vLLM would miss weights: {refusals[0]}")
        self._empty_prefix_cache()  # it contains the old weights' keys and values
        self.current, self.prepared = weights, True

    def generate(self, prompts: Sequence[Sequence[int]], decoding: Decoding) -> list[Generation]:
        """See Backend. One seeded request for every prompt and key. Raises UserError."""
        if decoding.temperature and not LOWEST_TEMPERATURE <= decoding.temperature <= HIGHEST_TEMPERATURE:
            raise UserError(
                f"vLLM samples at T from {LOWEST_TEMPERATURE:g} to {HIGHEST_TEMPERATURE:g}, not {decoding.temperature:g}; "
                "take another T, or --backend transformers"
            )
        largest, vocabulary = max(max(prompt) for prompt in prompts), self.llm.model_config.get_vocab_size()
        if largest >= vocabulary:
            raise UserError(beyond_embedding(self.name, largest, vocabulary))
        limits = [self._limit(len(prompt), decoding.max_new_tokens) for prompt in prompts]
        outputs = self._run(prompts, decoding, limits)
        if self._nan_seen():
            # Rare, so only now is it worth asking for the log-probabilities that say where; uncompiled, as it is rare.
            import torch

            with torch.compiler.set_stance("force_eager"):
                outputs = self._run(prompts, decoding, limits, logprobs=0)
            self._nan_seen()
        return [_generation(output.outputs[0]) for output in outputs]

    def close(self) -> None:
        """See Backend. A second call does nothing."""
        llm, self.llm = self.llm, None
        if llm is not None:
            llm.llm_engine.engine_core.shutdown()

    def _empty_prefix_cache(self) -> None:
        if not self.llm.reset_prefix_cache():
            raise RuntimeError("vLLM's prefix cache could not be emptied")

    def _nan_seen(self) -> bool:
        """Whether the model's output was not a number since the last call; if so, nothing of it stays in a cache."""
        seen = any(self.llm.collective_rpc("esprobe_nan"))
        if seen:
            self._empty_prefix_cache()
        return seen

    def _limit(self, prompt: int, max_new_tokens: int) -> int:
        """New tokens of a prompt of `prompt` tokens. Raises UserError if there is no room for them."""
        if prompt >= self.context_length:
            raise UserError(f"a prompt has {prompt} tokens, but model {self.name!r} reads at most {self.context_length}")
        limit = min(max_new_tokens, self.context_length - prompt)
        if prompt + limit > self.room:
            raise UserError(
                f"a prompt of {prompt} tokens and {limit} new ones need more memory than vLLM has (room for {self.room}); "
                "lower --max-new-tokens, or raise VLLM_CPU_KVCACHE_SPACE (GiB) on a CPU"
            )
        return limit

    def _run(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, limits: Sequence[int], logprobs: int | None = None
    ) -> list[Any]:
        """The results as vLLM gives them, in the order of the prompts."""
        from vllm import SamplingParams, TokensPrompt

        # 63 bits of a key: a seed is a signed 64-bit number, and −1 would mean none
        seeds = [key >> 1 for key in decoding.keys] if decoding.temperature else [None] * len(prompts)
        parameters = [
            SamplingParams(
                temperature=decoding.temperature,
                top_p=decoding.top_p or 1.0,
                top_k=decoding.top_k or 0,
                min_p=decoding.min_p or 0.0,
                repetition_penalty=1.0,
                seed=seed,
                max_tokens=limit,
                stop_token_ids=self.end_ids,
                ignore_eos=True,  # vLLM's own idea of an end token; ours are all in stop_token_ids
                detokenize=False,
                logprobs=logprobs,
                skip_clone=True,  # another one for every request: vLLM need not copy it
            )
            for seed, limit in zip(seeds, limits, strict=True)
        ]
        requests = [TokensPrompt(prompt_token_ids=list(prompt)) for prompt in prompts]
        outputs: list[Any] = self.llm.generate(requests, parameters, use_tqdm=False)
        return outputs


def plain(weights: Weights) -> tuple[list[dict[str, Any]], tuple[str, int, float] | None]:
    """The updates and the perturbation as what any process can be sent."""
    perturbation = weights.perturbation
    noise = None if perturbation is None else (perturbation.scheme, perturbation.seed, perturbation.sigma)
    return [update.record() for update in weights.updates], noise


def _generation(completion: Any) -> Generation:
    ids = list(completion.token_ids)
    for i, choices in enumerate(completion.logprobs or []):
        if isnan(choices[ids[i]].logprob):
            return Generation(ids[: i + 1], "nan")
    finish: Finish = completion.finish_reason
    if finish not in ("stop", "length"):
        raise RuntimeError(f"vLLM ended a rollout for an unknown reason: {finish}")
    return Generation(ids, finish)


def _refuse_strays(model: ModelFiles) -> None:
    """Raises UserError where vLLM would read other files of weights than transformers."""
    if strays := stray_weights(model.folder, model.weights):
        raise UserError(
            f"model {model.name!r}: vLLM would read {strays[0]!r}, which transformers does not, or the other way round; "
            "leave one set of weights in the folder"
        )


def _for_platform(model: ModelFiles, kept: str) -> dict[str, Any]:
    """What vLLM has to be told on this machine; `kept` is the dtype of the base. Raises UserError if it is not installed."""
    _set_if_unset(_QUIET)
    try:
        from vllm.platforms import current_platform
    except ImportError as error:
        raise UserError(f"backend vllm: vllm cannot be imported ({error}); install it, or use --backend transformers") from None
    if current_platform.is_cpu():
        _set_if_unset(_ON_CPU)
        # Chunked prefill crashes on requests with a seed; compiling costs more than a small model's whole sweep.
        return {"enable_chunked_prefill": False, "enforce_eager": True}
    if current_platform.is_cuda_alike():
        return {"gpu_memory_utilization": _engine_share(model, kept, current_platform.get_device_total_memory())}
    return {}


def _started(model: ModelFiles, settings: Mapping[str, Any]) -> Any:
    """The engine that vLLM makes of a model, with what is the same on every machine and these settings."""
    from vllm import LLM

    return LLM(
        model=str(model.folder),
        load_format="safetensors",
        use_tqdm_on_load=False,
        trust_remote_code=False,
        skip_tokenizer_init=True,
        generation_config="vllm",  # not the model's: our temperature is the only thing that shapes the distribution
        enable_prefix_caching=True,
        max_model_len=-1,  # the model's, or what memory allows
        seed=0,
        **settings,
    )


def _engine_share(model: ModelFiles, dtype: str, memory: int) -> float:
    """The share of a GPU's `memory` (bytes) that the engine may take, such that the base fits next to it if possible."""
    import torch

    stored = str(model.config.get("dtype") or model.config.get("torch_dtype") or "float32")
    elements = sum(path.stat().st_size for path in model.folder.glob("*.safetensors")) / getattr(torch, stored).itemsize
    base = elements * getattr(torch, dtype).itemsize
    share = GPU_SHARE - (base + (2 << 30)) / memory
    return share if share >= max(ENGINE_SHARE, 1.5 * base / memory) else GPU_SHARE


def _set_if_unset(variables: dict[str, str]) -> None:
    for name, value in variables.items():
        os.environ.setdefault(name, value)


@contextmanager
def _silence_if_in_process() -> Iterator[None]:
    """Holds back what libraries print while an engine starts in this process, and shows it if that fails.

    An engine in a separate process would inherit the silence for good, so for that one the logging level is set.
    """
    if os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") != "0":
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as held, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failed = True
        try:
            os.dup2(held.fileno(), 1)
            os.dup2(held.fileno(), 2)
            yield
            failed = False
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            if failed:
                held.seek(0)
                sys.stderr.write(held.read().decode(errors="replace"))
