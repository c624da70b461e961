"""Makes one HTML file of results and chosen rollouts, never larger than MAX_BYTES for any sensible database.

Knows the template, the escaping and the Content-Security-Policy. Model output reaches the file only as JSON inside data
elements, which no browser runs, and the script shows it as text.
"""

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from esprobe.analysis.exploration import Exploration
from esprobe.report.explore.gather import core
from esprobe.report.explore.shorten import ANSWER_BYTES, encoded, shorten, shorten_answer

MAX_BYTES = 15_000_000
MOST_TEXT = 4000  # bytes of a text where there is room
LEAST_TEXT = 400  # before texts are cut below this, there are fewer of them
_REST = 120 + 2 * ANSWER_BYTES  # bytes of a rollout besides its text, at most
SCRIPTS = (
    "parts.js",
    "chart.js",
    "detail.js",
    "overview.js",
    "training.js",
    "scrolling.js",
    "page.js",
)  # in the order in which they are run


@dataclass(frozen=True)
class Page:
    """The finished file and how many rollouts are in it."""

    content: bytes
    shown: int


def build(found: Exploration, database: str, per_cell: int) -> Page:
    """The page, with at most `per_cell` rollouts of each arm × problem. `database`: what the file is called."""
    parts = core(found, database)
    core_bytes = len(encoded(parts.json).encode(errors="replace"))
    cells = sum(cell is not None for row in found.cells for cell in row)
    most, limit = _fitting(MAX_BYTES - core_bytes - 100_000 - 60 * len(found.problems), cells, per_cell)

    blocks: list[dict[int, list[Any]]] = [{} for _ in found.problems]
    shown = shortened = 0
    for r in found.few_rollouts(most):
        text = shorten(r.text, limit)
        shortened += not isinstance(text, str)
        shown += 1
        row = [r.draw, r.correct, r.reason, shorten_answer(r.answer), r.seed, r.tokens, r.finish, text, shorten_answer(r.ballot)]
        blocks[parts.place_of_problem[r.problem_id]].setdefault(parts.place_of_arm[r.arm_id], []).append(row)

    left_out = {"rollouts": found.rollouts, "shown": shown, "perCell": most, "asked": per_cell}
    whole = parts.json | {"leftOut": left_out | {"shortened": shortened, "textBytes": limit}}
    style, script = _asset("page.css"), "".join(map(_asset, SCRIPTS))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    html = environment.from_string(_asset("page.html.j2")).render(
        models=sorted({arm["model"] for arm in parts.json["arms"]}),
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        core=Markup(encoded(whole)),
        blocks=[Markup(encoded(block)) for block in blocks],
    )
    return Page(html.encode("utf-8", errors="replace"), shown)


def _fitting(room: int, cells: int, per_cell: int) -> tuple[int, int]:
    """(rollouts per cell, bytes per text) for `room` bytes: shorter texts first, then fewer rollouts."""
    each = max(room, 0) // max(cells, 1)  # bytes per cell
    most = min(per_cell, each // (LEAST_TEXT + _REST))
    return most, min(MOST_TEXT, each // most - _REST) if most else 0


def _policy(style: str, script: str) -> str:
    """Allows exactly this style and this script, and nothing else: no network, no image, no form, no frame."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src 'none'; connect-src 'none'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    text = (files("esprobe.report.explore") / name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")
