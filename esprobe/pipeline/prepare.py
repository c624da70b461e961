"""Resolves everything that a sweep needs before any database or engine is opened: problems, model, prompts, backend, arms.

Knows tasks, models' files and the plan. Must not know what was done before.
"""

from dataclasses import dataclass
from importlib.util import find_spec

from esprobe.engines.engine import EngineSpec
from esprobe.engines.models import ModelFiles, find_model, load_tokenizer
from esprobe.engines.pool import Pool
from esprobe.errors import UserError
from esprobe.methods import named
from esprobe.pipeline.work import Setting
from esprobe.plan.sweep import PlannedArm, Resolved, Sweep, plan_arms
from esprobe.tasks.prompts import Prompter, prompt_digest
from esprobe.tasks.records import load_problems
from esprobe.tasks.registry import task_named


@dataclass(frozen=True)
class Prepared:
    """A sweep with everything resolved."""

    setting: Setting
    engine: EngineSpec
    arms: list[PlannedArm]


def prepare(sweep: Sweep, pool: Pool, model: ModelFiles | None = None) -> Prepared:
    """Finds problems and model, renders the prompts and plans the arms. `model` replaces the sweep's. Raises UserError."""
    task = task_named(sweep.task, dict(sweep.task_options))
    problems = load_problems(task, sweep.data, sweep.offset, sweep.limit, training=sweep.training)
    model = model or find_model(sweep.model, sweep.model_name)
    device = pool.device(sweep.tensor_parallel)
    backend, dtype = resolve(sweep, model, device != "cpu")
    tokenizer = load_tokenizer(model)
    prompter = Prompter(task, sweep.prompt, tokenizer)
    prompts = prompter.ids([problem.payload for problem in problems])
    model.check_prompts(prompts, tokenizer)
    end_ids = tuple(model.end_ids(tokenizer))
    resolved = Resolved(
        model=model.name,
        model_digest=model.digest,
        new_tokens=model.new_tokens,
        backend=backend,
        dtype=dtype,
        prompts=prompter.identity(),
        end_ids=end_ids,
        device=device,
    )
    digests = [prompt_digest(ids) for ids in prompts]
    setting = Setting(task, problems, prompts, digests, tokenizer, frozenset(end_ids))
    engine = EngineSpec(
        backend=backend,
        model=model,
        dtype=dtype,
        end_ids=end_ids,
        perturbs=named(sweep.method).shares_draws,
        tensor_parallel=sweep.tensor_parallel,
    )
    return Prepared(setting, engine, plan_arms(sweep, task.name, resolved))


def resolve(sweep: Sweep, model: ModelFiles, gpu: bool) -> tuple[str, str]:
    """The backend and dtype that `auto` means, with or without a GPU, or the ones asked for. Raises UserError."""
    backend = sweep.backend
    if sweep.noise == "low-rank":
        if backend == "vllm":
            raise UserError("vllm perturbs weight by weight, so it has no low-rank noise; use --backend transformers")
        backend = "transformers"
    installed = find_spec("vllm") is not None
    if backend == "auto":
        backend = "vllm" if installed and (gpu or not model.bundled) else "transformers"
    if backend == "vllm" and not installed:
        raise UserError("vllm is not installed; install esprobe[vllm], or use --backend transformers")
    dtype = sweep.dtype
    if dtype == "auto":
        config = model.config
        dtype = str(config.get("dtype") or config.get("torch_dtype") or "float32") if gpu else "float32"
    return backend, dtype
