"""Which forward pass reads a model correctly: each is compared with one plain pass over the same tokens, while a model is loaded.

The plain pass knows neither padding nor memory, so it shows what either gets wrong: a model whose memory is no `past_key_values`,
padding that is seen, windows, rows that leave. Knows forward passes and tensors, no files.
"""

from collections.abc import Iterator
from math import inf, isnan, nan
from typing import Any

import torch
from torch import Tensor

from esprobe.engines.dense import BLOCK, DenseForward
from esprobe.engines.forward import Forward, TransformersForward
from esprobe.errors import one_line

PROMPTS = (11, 4, 7)  # tokens; in a context that has room for them
STEPS = 2 * BLOCK + 8  # so that a memory which grows by blocks grows twice
WINDOW = 512  # the longest sliding window that is read over on a CPU; on an accelerator reading costs little
ACCELERATED_WINDOW = 8192
# Root mean square over the vocabulary of the difference to the plain pass, in units of the plain logits' standard deviation. At
# full precision the worst position counts; at 16 bits and below, where a router of experts may tip over at one, their mean.
TOLERANCE = 2e-3
TOLERANCE_16 = 0.2


class UnreadableModelError(Exception):
    """No forward pass agrees with the model's plain one; the message says what the last one did."""


def fitting(model: Any) -> Forward:
    """The fastest forward pass that agrees with the plain one. Raises UnreadableModelError."""
    reason, precise = "", model.dtype.itemsize >= 4 and getattr(model, "hf_quantizer", None) is None
    try:
        rows = _rows(model)
        plain = [_plain(model, row) for row in rows]
        shortest = min(map(len, rows))
        same = [row[-shortest:] for row in rows]
        plain_same = [_plain(model, row) for row in same]
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # each model's code fails in its own way
        raise UnreadableModelError(one_line(error)) from error
    for forward in _candidates(model):
        try:
            agrees = _agrees(forward, *((rows, plain) if forward.pads else (same, plain_same)), precise)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # this way of reading does not suit the model; another one may
            reason = one_line(error)
            continue
        forward.forget()
        if agrees:
            return forward
        reason = "token by token it gives other probabilities than in one pass"
    raise UnreadableModelError(reason)


def _candidates(model: Any) -> Iterator[Forward]:
    """Forward passes of a model, the fastest first."""
    if DenseForward.fits(model):
        yield DenseForward(model)
    for pads, counts in ((True, False), (False, False), (False, True)):
        for shrinks in (True, False):
            yield TransformersForward(model, pads=pads, shrinks=shrinks, counts=counts)


@torch.inference_mode()
def _agrees(forward: Forward, rows: list[list[int]], plain: list[Tensor], precise: bool) -> bool:
    """Whether stepping through the last tokens of the `rows` gives their `plain` logits, a (steps + 1, vocabulary) each."""
    steps = len(plain[0]) - 1
    going = list(range(len(rows)))
    errors = []
    logits = forward.start([row[:-steps] for row in rows])  # (going, vocabulary)
    for step in range(steps + 1):
        errors += [_distance(logits[i].cpu(), plain[row][step]) for i, row in enumerate(going)]
        if precise and any(error > TOLERANCE for error in errors):
            return False
        if step == steps:
            break
        if step % BLOCK == BLOCK // 2 and forward.shrinks and len(going) > 1:
            kept = [i for i in range(len(going)) if i != step % len(going)]
            forward.keep(torch.tensor(kept, device=logits.device))
            going = [going[i] for i in kept]
        logits = forward.step(torch.tensor([rows[row][step - steps] for row in going], device=logits.device))
    known = [error for error in errors if not isnan(error)]  # a model whose plain logits are not numbers shows nothing
    return not known or precise or sum(known) / len(known) <= TOLERANCE_16


def _distance(logits: Tensor, plain: Tensor) -> float:
    """How far logits (vocabulary,) are from the plain ones; not a number where the plain ones are not finite."""
    if not plain.isfinite().all():
        return nan
    spread = (plain - plain.mean()).square().mean().clamp(min=1e-12)
    distance = float(((logits - plain).square().mean() / spread).sqrt())
    return inf if isnan(distance) else distance


@torch.inference_mode()
def _plain(model: Any, row: list[int]) -> Tensor:
    """Logits (steps + 1, vocabulary) after each of the row's last tokens, read at once; float32 on the CPU."""
    output = model(input_ids=torch.tensor([row], device=model.device), use_cache=False, return_dict=True)
    logits: Tensor = output.logits[0, -_steps(model) - 1 :]
    return logits.float().cpu()


def _rows(model: Any) -> list[list[int]]:
    """Rows of arbitrary tokens, of different lengths, longer than a sliding window where that costs little."""
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    reach = WINDOW if model.device.type == "cpu" else ACCELERATED_WINDOW
    longer = window if isinstance(window, int) and window <= reach else 0
    steps = _steps(model)
    vocabulary = model.get_input_embeddings().num_embeddings
    first, last = min(4, vocabulary - 1), min(vocabulary, 1000)  # the first few ids are often special ones
    generator = torch.Generator().manual_seed(0)
    lengths = [max(1, min(longer + length, _context(model) - steps)) + steps for length in PROMPTS]
    return [torch.randint(first, last, (length,), generator=generator).tolist() for length in lengths]


def _steps(model: Any) -> int:
    return max(1, min(STEPS, _context(model) // 2))


def _context(model: Any) -> int:
    length = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 1 else 1 << 30
