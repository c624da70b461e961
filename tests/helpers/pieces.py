"""The bundled model for an engine, and pieces of work for it that need no database."""

from dataclasses import dataclass

from esprobe.arms import BASE, Weights
from esprobe.bundled import BUNDLED
from esprobe.engines.backend import Decoding
from esprobe.engines.engine import Batch, EngineSpec
from esprobe.engines.models import find_model, load_tokenizer
from esprobe.tasks.countdown.task import Countdown
from esprobe.tasks.prompts import prompt_text

MODEL = find_model(BUNDLED)
TOKENIZER = load_tokenizer(MODEL)
TASK = Countdown()
PROMPTS = [
    TOKENIZER(prompt_text(TASK, p.payload, "chat", TOKENIZER), add_special_tokens=False).input_ids for p in TASK.bundled()[:16]
]
SPEC = EngineSpec("transformers", MODEL, "float32", tuple(MODEL.end_ids(TOKENIZER)))


@dataclass(frozen=True)
class Piece:
    """Work that needs no database."""

    prompts: list[list[int]]
    weights: Weights = BASE


def ask(piece: Piece) -> Batch:
    return Batch(piece.weights, piece.prompts, Decoding(8))
