"""One perturbation of a 0.5-billion-parameter model in float16 on a GPU: our kernel, the published way, the roofline, in one run.

Run it with `python -m tests.benchmarks.bench_gpu_noise`; it needs an NVIDIA GPU with 4 GB free and Triton.
"""

import statistics
import time
from collections.abc import Callable

import torch

from esprobe.arms import Perturbation
from esprobe.weights import perturb
from tests.benchmarks.table import Row, ratio, render

LAYERS, HIDDEN, FFN, HEADS, KV_HEADS, VOCABULARY = 24, 896, 4864, 14, 2, 151936  # Qwen2.5-0.5B; the embedding is tied
ROUNDS, WARM_UP = 25, 3
SPIN = 100_000_000  # clock cycles, some 50 ms: longer than it takes to enqueue all launches of one round
PERTURBATION = Perturbation("iid", 42, 0.001)
ROOFLINE = "device copy of as many bytes (roofline)"
SINGLY = "our kernel, a launch per parameter"


def shapes(
    layers: int = LAYERS, hidden: int = HIDDEN, ffn: int = FFN, vocabulary: int = VOCABULARY, kv: int = HIDDEN // HEADS * KV_HEADS
) -> dict[str, tuple[int, ...]]:
    """Checkpoint name → shape; of Qwen2.5-0.5B, 290 parameters with 494,032,768 elements."""
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    for layer in range(layers):
        for name, rows, columns in (
            *(("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", kv, hidden), ("self_attn.v_proj", kv, hidden)),
            *(("self_attn.o_proj", hidden, hidden), ("mlp.gate_proj", ffn, hidden), ("mlp.up_proj", ffn, hidden)),
            ("mlp.down_proj", hidden, ffn),
        ):
            found[f"model.layers.{layer}.{name}.weight"] = (rows, columns)
            if name.endswith(("q_proj", "k_proj", "v_proj")):
                found[f"model.layers.{layer}.{name}.bias"] = (rows,)
        for name in ("input_layernorm", "post_attention_layernorm"):
            found[f"model.layers.{layer}.{name}.weight"] = (hidden,)
    return found


def device_times(work: Callable[[], None]) -> list[float]:
    """Milliseconds between two events around the work. The device spins first, so that all launches wait in its queue by then and
    the host's time to make them is not measured; work that makes the host wait is measured with its waiting.
    """
    times = []
    for round_ in range(WARM_UP + ROUNDS):
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(SPIN)
        begun.record()
        work()
        ended.record()
        torch.cuda.synchronize()
        if round_ >= WARM_UP:
            times.append(begun.elapsed_time(ended))
    return times


def wall_times(work: Callable[[], None]) -> list[float]:
    """Milliseconds on the clock, from the call until the device is done: what a user waits."""
    times = []
    for round_ in range(WARM_UP + ROUNDS):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if round_ >= WARM_UP:
            times.append((time.perf_counter() - begun) * 1e3)
    return times


def rows() -> list[Row]:
    """Prints device and wall milliseconds, medians with the range, and how far each is from the roofline; returns a row.

    None without a GPU.
    """
    if not torch.cuda.is_available():
        return []
    from esprobe.weights.kernel import perturb_iid

    generator = torch.Generator("cuda").manual_seed(0)
    base = {
        name: torch.randn(shape, generator=generator, dtype=torch.float16, device="cuda").mul_(0.02)
        for name, shape in shapes().items()
    }
    out = {name: torch.empty_like(weight) for name, weight in base.items()}
    elements = sum(weight.numel() for weight in base.values())

    def one_by_one() -> None:
        for name, weight in base.items():
            perturb_iid(out[name], weight, name, PERTURBATION)

    def ours() -> None:
        perturb.perturb_all(out, base, PERTURBATION)

    host = {name: weight.cpu() for name, weight in base.items()}

    def published() -> None:
        for name, weight in host.items():
            seeded = torch.Generator(device="cuda").manual_seed(PERTURBATION.seed)
            made = torch.randn(weight.shape, dtype=weight.dtype, device="cuda", generator=seeded)
            out[name].copy_(weight.to("cuda")).add_(PERTURBATION.sigma * made)

    # A copy moves what a perturbation must: each weight read once and written once.
    flat = torch.zeros((2, elements), dtype=torch.float16, device="cuda")

    def copy() -> None:
        flat[0].copy_(flat[1])

    published()  # before ours, so that `out` has ours when it is compared
    measured = {}
    for label, work in (
        ("device copy of as many bytes (roofline)", copy),
        ("published way", published),
        (SINGLY, one_by_one),
        ("our kernel", ours),
    ):
        measured[label] = device_times(work), wall_times(work)

    name = "model.layers.23.mlp.down_proj.weight"
    expected = torch.empty_like(host[name])
    perturb.perturb(expected, host[name], name, PERTURBATION)
    equal = (out[name].cpu() == expected).double().mean().item()

    moved = 2 * elements * flat.element_size()
    floor = statistics.median(measured[ROOFLINE][0])
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, float16, {len(base)} parameters, {elements:,} elements")
    print(f"measured copy bandwidth {moved / floor / 1e6:,.0f} GB/s, {moved / 1e9:.2f} GB to move; medians of {ROUNDS} (min–max)")
    print(f"{'':42}{'device ms':>26}{'wall ms':>26}{'× roofline':>12}")
    for label, (device, wall) in measured.items():
        columns = "".join(f"{statistics.median(t):12.3f} ({min(t):.2f}–{max(t):.2f})".rjust(26) for t in (device, wall))
        print(f"{label:42}{columns}{statistics.median(device) / floor:12.2f}")
    print(f"equal to the CPU's float16 weights: {equal:.4%} of {name}")
    device = {label: times[0] for label, times in measured.items()}
    kernel, theirs = device["our kernel"], device["published way"]
    return [
        Row(
            f"perturbing {elements:,} float16 weights on a GPU",
            statistics.median(kernel),
            "ms",
            "published way",
            statistics.median(theirs),
            ratio(theirs, kernel),
            f"copying {moved / 1e9:.2f} GB: {floor:.2f} ms",
        )
    ]


def main() -> None:
    """Prints all of it."""
    print(render(rows()) if torch.cuda.is_available() else "This benchmark needs an NVIDIA GPU, and there is none here.")


if __name__ == "__main__":
    main()
