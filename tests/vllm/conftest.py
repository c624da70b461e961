"""One vLLM engine per model, and the transformers backend on the same files; nothing here runs where vLLM is missing."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from esprobe.arms import Perturbation, Weights, perturbation_seed
from esprobe.bundled import BUNDLED
from esprobe.engines.backend import Backend, Decoding, Generation
from esprobe.engines.models import ModelFiles, find_model, load_tokenizer
from esprobe.engines.transformers_backend import TransformersBackend
from esprobe.tasks.countdown.task import Countdown
from esprobe.tasks.prompts import prompt_text
from tests.conftest import HANGS_S

TOKENIZER = load_tokenizer(find_model(BUNDLED))
PROBLEMS = Countdown().bundled()[:16]
PROMPTS: list[list[int]] = [
    TOKENIZER(prompt_text(Countdown(), p.payload, "chat", TOKENIZER), add_special_tokens=False).input_ids for p in PROBLEMS
]
GREEDY = Decoding(64)
SEEDS = [perturbation_seed("iid", 42, draw) for draw in range(8)]

tied = pytest.mark.parametrize("pair", ["tied"], indirect=True)


@pytest.fixture(scope="session", autouse=True)
def _vllm() -> None:
    if find_spec("vllm") is None:
        if os.environ.get("CI") == "true" and os.environ.get("ESPROBE_VLLM") == "1":
            pytest.fail("vllm is not installed")
        pytest.skip("needs vllm: install .ci/vllm-requirements.txt as its first lines say")


@dataclass
class Pair:
    """The same model in both engines."""

    model: ModelFiles
    vllm: Any  # a VllmBackend; the class is not importable everywhere
    transformers: Backend

    def live(self) -> Any:
        """The worker's LiveWeights; there once weights were set."""
        return self.worker()._esprobe_weights

    def worker(self) -> Any:
        """The engine's only worker, which runs in this process."""
        return self.vllm.llm.llm_engine.model_executor.driver_worker.worker


def untied_copy(folder: Path) -> ModelFiles:
    """The bundled model with an untied head: the embedding, moved a little, so that it still writes equations."""
    source = find_model(BUNDLED).folder
    shutil.copytree(source, folder)
    weights = load_file(folder / "model.safetensors")
    embedding = weights["model.embed_tokens.weight"]
    shift = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(1))
    weights["lm_head.weight"] = (embedding.float() + 0.02 * shift).to(embedding.dtype)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    return find_model(str(folder))


@pytest.fixture(scope="session", params=["tied", "untied"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both engines in float32. Ask for one of the two models with `indirect`."""
    from esprobe.engines.vllm_backend import VllmBackend

    torch.set_num_threads(1)  # more only wait for each other in so small a model
    model = find_model(BUNDLED) if request.param == "tied" else untied_copy(tmp_path_factory.mktemp("untied") / "model")
    ends = model.end_ids(TOKENIZER)
    made = Pair(model, VllmBackend(model, "float32", ends), TransformersBackend(model, "float32", ends))
    yield made
    made.vllm.close()
    made.transformers.close()


def draw(number: int, sigma: float = 0.01) -> Weights:
    return Weights(perturbation=Perturbation("iid", SEEDS[number], sigma))


def ours(pair: Pair, weights: Weights) -> list[Generation]:
    pair.vllm.set_weights(weights)
    generations: list[Generation] = pair.vllm.generate(PROMPTS, GREEDY)
    return generations


def theirs(pair: Pair, weights: Weights) -> list[Generation]:
    pair.transformers.set_weights(weights)
    return pair.transformers.generate(PROMPTS, GREEDY)


def run_script(script: str, *args: object, env: dict[str, str] | None = None) -> str:
    """What a Python script prints; engines of another kind need a separate process."""
    path = Path(__file__).with_name(script)
    done = subprocess.run(
        [sys.executable, str(path), *map(str, args)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])} | (env or {}),
        capture_output=True,
        text=True,
        timeout=HANGS_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
