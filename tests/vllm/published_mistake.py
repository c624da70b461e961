"""Plants the published mistake: noise over `named_parameters()` of an engine whose linear weights are packed away. A script."""

from vllm.model_executor.layers import utils as layers

from esprobe.arms import Perturbation, Weights
from esprobe.bundled import BUNDLED
from esprobe.engines.models import find_model
from esprobe.engines.vllm_backend import VllmBackend
from esprobe.engines.vllm_worker import LiveWeights, Perturber, pack_cpu_linear
from esprobe.errors import UserError

layers.dispatch_cpu_unquantized_gemm = pack_cpu_linear  # as vLLM has it


class Published(Perturber):
    """Our worker, but for the packing; its `shared-seed` is noise over `named_parameters()`."""


class Unchecked(LiveWeights):
    """Without the look at the layout."""

    def check_layout(self) -> None:
        """Nothing."""


if __name__ == "__main__":
    backend = VllmBackend(find_model(BUNDLED), "float32", [258], worker="tests.vllm.published_mistake.Published")
    wish = Weights(perturbation=Perturbation("shared-seed", 1, 0.01))
    try:
        backend.set_weights(wish)
    except UserError as error:
        print("refused:", error)
    worker = backend.llm.llm_engine.model_executor.driver_worker.worker
    live = worker._esprobe_weights
    Unchecked(live.model, live.folder, live.dtype, live.alone).set(wish)
    print("unchecked: accepted")
    backend.close()
