"""What the page that `esprobe explore` writes contains, read from the file; and a page of two small arms."""

import json
import re
from pathlib import Path
from typing import Any

from tests.helpers.made import make
from tests.helpers.wired import explore

PAIR = [("temperature", 0.5, {0: "+---", 1: "++--", 2: "----"}), ("perturbation", 0.01, {0: "----", 1: "+---", 2: "----"})]


def data(page: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the page's data elements hold: the core, and the rollouts by problem."""
    found = re.findall(r'<script type="application/json" id="([a-z0-9-]+)">(.*?)</script>', page.read_text(), re.DOTALL)
    assert [name for name, _ in found] == ["core", *(f"rollouts-{i}" for i in range(len(found) - 1))]
    core, *blocks = [json.loads(text) for _, text in found]
    return core, blocks


def plain(said: list[str]) -> list[str]:
    """Sentences with spaces that lines may break at."""
    return [one.replace("\u00a0", " ") for one in said]


def written(tmp_path: Path, *arms: Any, per_cell: int = 4, **made: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    make(tmp_path / "r.db", list(arms), **made)
    explore(tmp_path / "r.db", tmp_path / "p.html", per_cell=per_cell)
    return data(tmp_path / "p.html")
