"""An arm never has rollouts of two prompts, and a model that cannot be run leaves nothing behind."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from esprobe.bundled import BUNDLED
from esprobe.engines.models import find_model
from esprobe.pipeline.meter import Quiet
from esprobe.pipeline.sample import sample
from esprobe.pipeline.writer import Alike
from esprobe.plan.sweep import Sweep
from tests.conftest import Run
from tests.helpers.errors import one_line_error

SMALL = ["sample-temp", "-T", "0.8", "--limit", "4", "--max-new-tokens", "12", "--no-greedy"]


def rows(db: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the bundled model, to be changed."""
    return Path(shutil.copytree(find_model(BUNDLED).folder, tmp_path / "model"))


def test_an_arm_is_continued_only_with_the_prompts_it_was_begun_with(esprobe: Run, tmp_path: Path) -> None:
    db = tmp_path / "esprobe.db"
    assert esprobe(*SMALL, "-n", 2).returncode == 0
    prompts = rows(db, "select problem_id, digest from prompt order by 1")
    assert len(prompts) == 4
    assert {len(str(digest)) for _, digest in prompts} == {32}
    assert rows(db, "select distinct prompt_tokens > 0 from rollout") == [(1,)]
    with closing(sqlite3.connect(db)) as connection, connection:  # as an older version of a library would have rendered it
        connection.execute("update prompt set digest = 'another' where problem_id = 3")
        connection.execute("update run set versions = json_set(versions, '$.jinja2', '0.1')")
    refused = one_line_error(esprobe(*SMALL, "-n", 3), 1)
    third = rows(db, "select json_extract(payload, '$.target') from problem where id = 3")[0][0]
    assert f'"target":"{third}"' in refused
    assert "jinja2 was 0.1, now" in refused
    assert rows(db, "select count(*), count(distinct run_id) from rollout") == [(8, 1)]


def test_another_day_is_the_same_prompt_and_another_template_is_another_arm(esprobe: Run, tmp_path: Path, model: Path) -> None:
    template = model / "chat_template.jinja"
    dated = "{{ '<|im_start|>system\n' + strftime_now('%S.%f') + '<|im_end|>\n' }}" + template.read_text()
    template.write_text(dated)
    for draws in (1, 2):
        assert esprobe(*SMALL, "--model", model, "-n", draws).returncode == 0
    template.write_text(dated + " ")
    assert esprobe(*SMALL, "--model", model, "-n", 1).returncode == 0
    found = rows(tmp_path / "esprobe.db", "select settings from arm order by id")
    settings = [json.loads(str(text)) for (text,) in found]
    assert [s["today"] for s in settings] == ["2024-07-26"] * 2
    assert settings[0]["template"] != settings[1]["template"]


def test_a_model_that_cannot_be_run_leaves_no_row(esprobe: Run, tmp_path: Path, model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    one_line_error(esprobe("--quiet", *SMALL, "--model", model), 1)
    counted = [rows(tmp_path / "esprobe.db", f"select count(*) from {table}") for table in ("model", "problem", "arm", "run")]
    assert counted == [[(0,)]] * 4


def test_noise_that_no_weight_feels_is_refused_before_there_is_an_arm(esprobe: Run, tmp_path: Path) -> None:
    refused = one_line_error(
        esprobe("--quiet", "sample-perturb", "--sigma", "1e-30", "-n", "2", "--limit", "2", "--no-greedy"), 1
    )
    assert "changes no weight" in refused
    assert rows(tmp_path / "esprobe.db", "select count(*) from arm") == [(0,)]


class Saying(Quiet):
    """A meter that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_draws_that_are_all_alike_are_reported(tmp_path: Path) -> None:
    said = Saying()
    cold = Sweep("temperature", (1e-6, 1.5), draws=3, limit=4, max_new_tokens=12)
    sample(cold, tmp_path / "r.db", "test", said)
    assert [line for line in said.lines if "same text" in line] == [
        "temperature 1e-06: on every problem all draws gave the same text, as greedy decoding does"
    ]
    assert "same text" in str(rows(tmp_path / "r.db", "select message from run"))
    assert not Alike().told


def test_what_rounding_leaves_of_the_noise_is_kept_once_for_each_arm(tmp_path: Path) -> None:
    for draws in (1, 2):
        sample(Sweep("perturbation", (0.01,), draws=draws, limit=2, max_new_tokens=4), tmp_path / "r.db", "test", Quiet())
    (greedy,), (perturbed,) = rows(tmp_path / "r.db", "select rounding from arm order by method")
    groups = json.loads(str(perturbed))["groups"]
    assert greedy is None
    assert {"matrices", "embeddings", "norms"} <= set(groups)
    assert all(0.99 < group["sigma"] < 1.01 and group["unchanged"] < 0.01 for group in groups.values())
    assert rows(tmp_path / "r.db", "select distinct sigma from draw where seed is not null") == [(0.01,)]
    assert rows(tmp_path / "r.db", "select count(*) from draw where sigma is not null and seed < 9007199254740992") == [(2,)]
