"""One engine: a backend that halves its batches when memory runs out.

Knows backends by name, batches of token ids and generations. Must not know tasks, texts or the database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from esprobe.arms import Weights
from esprobe.engines.backend import Backend, Decoding, Generation, OutOfMemoryError
from esprobe.engines.models import ModelFiles
from esprobe.errors import UserError
from esprobe.weights.rounding import Rounding


@dataclass(frozen=True)
class EngineSpec:
    """What it takes to start an engine, anywhere: a backend's name, the model, a torch dtype's name, the end tokens.

    `perturbs`: noise will be asked for, and an engine that could not give it to every weight is to be refused at its start.
    `trained`: weights of a trained model will be, which take room in float32. `tensor_parallel`: how many GPUs one engine spans,
    or processes on a CPU.
    """

    backend: str
    model: ModelFiles
    dtype: str
    end_ids: tuple[int, ...]
    perturbs: bool = False
    trained: bool = False
    tensor_parallel: int = 1


@dataclass(frozen=True)
class Batch:
    """Prompts (token ids) to be continued together with some weights of the engine's model.

    `measure`: what rounding leaves of the perturbation is wanted as well.
    """

    weights: Weights
    prompts: Sequence[Sequence[int]]
    decoding: Decoding
    measure: bool = False


@dataclass(frozen=True)
class Done:
    """One generation per prompt, notes for the user on how they were made, and the rounding if it was asked for."""

    generations: list[Generation]
    notes: tuple[str, ...] = ()
    rounding: Mapping[str, Rounding] | None = None


class Engine:
    """A backend that halves its batches when memory runs out."""

    def __init__(self, spec: EngineSpec) -> None:
        """Starts the backend. Raises UserError."""
        self.backend = open_backend(spec)
        if spec.perturbs:
            try:
                self.backend.prepare()
            except BaseException:
                self.backend.close()
                raise
        self.rows: int | None = None  # rollouts at once, at most: memory ran out at twice as many

    def run(self, batch: Batch) -> Done:
        """One generation per prompt. Raises UserError if not even one prompt fits into memory."""
        rounding = None
        try:
            self.backend.set_weights(batch.weights)
            perturbation = batch.weights.perturbation
            if batch.measure and perturbation is not None:
                rounding = self.backend.rounding(batch.weights)
                if all(group.unchanged == 1 for group in rounding.values()):
                    raise UserError(
                        f"σ {perturbation.sigma:g} changes no weight of this model: its dtype rounds it all away; "
                        "take a larger σ, or --dtype float32"
                    )
        except OutOfMemoryError:
            raise UserError(
                "perturbed and trained models need memory for the weights twice, and there is not enough; use a smaller --dtype"
            ) from None
        generations: list[Generation] = []
        notes = []
        while (start := len(generations)) < len(batch.prompts):
            rows = min(self.rows or len(batch.prompts), len(batch.prompts) - start)
            part = slice(start, start + rows)
            try:
                generations += self.backend.generate(batch.prompts[part], batch.decoding.part(part))
            except OutOfMemoryError:
                if rows == 1:
                    raise UserError(
                        "not even one rollout fits into memory; lower --max-new-tokens, or use a smaller --dtype"
                    ) from None
                self.rows = rows // 2
                notes.append(f"out of memory at {rows} rollouts together: from now on {self.rows}")
        return Done(generations, tuple(notes), rounding)

    def close(self) -> None:
        """Releases the backend's resources."""
        self.backend.close()


def open_backend(spec: EngineSpec) -> Backend:
    """Starts a backend by its name. Raises UserError."""
    if spec.backend == "vllm":
        from esprobe.engines.vllm_backend import VllmBackend

        parallel = spec.tensor_parallel
        return VllmBackend(spec.model, spec.dtype, spec.end_ids, tensor_parallel=parallel, trained=spec.trained)
    if spec.backend != "transformers":
        raise UserError(f"there is no backend {spec.backend!r}; use transformers or vllm")
    if spec.tensor_parallel > 1:
        raise UserError(
            f"--tensor-parallel {spec.tensor_parallel} needs --backend vllm: the transformers backend runs on one GPU; "
            "use --engines for several"
        )
    from esprobe.engines.transformers_backend import TransformersBackend

    return TransformersBackend(spec.model, spec.dtype, spec.end_ids)
