"""The weights of a trained model: those of its root, float32, and every update of the training added in its order.

Knows tensors and noise, not what an update is worth or where a root is read from.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from esprobe.arms import Update
from esprobe.weights import perturb

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Piece = list[tuple[str, int, int]]  # (name, first element, elements) of parameters that are updated together


class Base:
    """What perturbations start from: the weights of a root by name, with the updates so far; never computed back.

    Without updates they are in the dtype that the model runs in, otherwise in float32, so that no update is rounded away.
    """

    def __init__(self, read: "Callable[[bool], dict[str, Tensor]]", device: "torch.device | str" = "cpu") -> None:
        """`read` gives the root's weights, which become ours; with True in float32. Noise is made on `device`."""
        self.read, self.device = read, device
        self.weights: dict[str, Tensor] = {}  # empty until they are wanted for the first time
        self.updates: tuple[Update, ...] = ()  # those that `weights` have

    def reach(self, updates: tuple[Update, ...]) -> None:
        """Makes them the weights after `updates`: adds what is new to them, or begins again with the root.

        An error on the way, such as memory that runs out, leaves none behind, and the next call begins again.
        """
        if self.weights and updates == self.updates:
            return
        try:
            if not self._leads_to(updates):
                self.weights = {}  # first, for the root needs its memory
                self.weights, self.updates = self.read(bool(updates)), ()
            for update in updates[len(self.updates) :]:
                add(self.weights, update, self.device)
            self.updates = updates
        except BaseException:
            self.weights, self.updates = {}, ()
            raise

    def _leads_to(self, updates: tuple[Update, ...]) -> bool:
        """Whether the weights are there, in full precision, with the first of the `updates` and no others."""
        import torch

        precise = all(weight.dtype == torch.float32 for weight in self.weights.values())
        return bool(self.weights) and precise and updates[: len(self.updates)] == self.updates


def add(master: "Mapping[str, Tensor]", update: Update, device: "torch.device | str" = "cpu") -> None:
    """Adds Σ cᵢ·noise(seedᵢ) to the float32 weights, in place. Noise is made on `device`, and weights may lie elsewhere.

    For each element the sum runs over the seeds in their order, every product and every sum rounded to float32, and is added to
    the weight at the end. Only a piece of one parameter (some MB) is in memory at a time, for any model and number of seeds.
    """
    import torch

    terms = [(seed, c) for seed, c in zip(update.seeds, update.coefficients, strict=True) if c]
    if not terms:
        return  # adding 0 would turn −0 into 0
    for piece in _pieces(master, device):
        sums = [torch.zeros(count, device=device) for _, _, count in piece]
        for seed, coefficient in terms:
            _accumulate(sums, piece, seed, coefficient)
        for (name, start, count), total in zip(piece, sums, strict=True):
            part = master[name].view(-1)[start : start + count]
            part.add_(total.to(part.device))


def _accumulate(sums: "Sequence[Tensor]", piece: Piece, seed: int, coefficient: float) -> None:
    """Adds coefficient · noise of the seed to each of the sums."""
    if len(piece) == 1:
        name, start, _ = piece[0]
        perturb.add_normals(sums[0], seed, name, start, coefficient)
        return
    made = perturb.normals_together(seed, {name: count for name, _, count in piece})
    for total, noise in zip(sums, made.values(), strict=True):
        total.add_(noise * coefficient)  # not in place: others read that noise too


def _pieces(master: "Mapping[str, Tensor]", device: "torch.device | str") -> Iterator[Piece]:
    """The elements in pieces: small parameters together on a CPU, large ones cut."""
    on_cpu = str(device) == "cpu"
    longest = 4 * (perturb.CHUNK if on_cpu else perturb.DEVICE_CHUNK)
    for names in perturb.runs(master) if on_cpu else ([name] for name in master):
        if len(names) > 1:
            yield [(name, 0, master[name].numel()) for name in names]
            continue
        size = master[names[0]].numel()
        for start in range(0, size, longest):
            yield [(names[0], start, min(longest, size - start))]
