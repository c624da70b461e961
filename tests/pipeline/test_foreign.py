"""What other programs write is read as they mean it, or refused with the keys that were found."""

import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from esprobe.errors import UserError
from esprobe.pipeline.import_rollouts import Imported, Source, import_rollouts

QUESTION = {"question": "How many?", "answer": "so\n#### 18"}


def taken(folder: Path, name: str, content: object, source: Source) -> tuple[Imported, list[tuple[Any, ...]]]:
    """What was imported, and (draw, text, tokens, prompt tokens, finish, correct) of every rollout."""
    path, db = folder / name, folder / "r.db"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    imported = import_rollouts(path, db, "test", source)
    return imported, rows(db)


def rows(db: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(
            "SELECT r.draw, r.text, r.tokens, r.prompt_tokens, r.finish, s.correct FROM rollout AS r "
            "JOIN score AS s USING (arm_id, draw, problem_id) ORDER BY r.problem_id, r.draw"
        ).fetchall()


def sample(epoch: int, text: object, **more: object) -> dict[str, Any]:
    """A sample of Inspect's log, as its program writes it (0.3)."""
    return {
        "id": 1,
        "epoch": epoch,
        "input": "How many?",
        "target": "18",
        "metadata": {"reasoning": "9 + 9"},
        "output": {
            "choices": [{"message": {"role": "assistant", "content": text}, "stop_reason": "max_tokens"}],
            "usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12},
        },
        **more,
    }


def test_records_of_a_task_keep_what_they_tell_of_their_tokens(tmp_path: Path) -> None:
    record = QUESTION | {"draw": 2, "text": "#### 18", "tokens": 3, "prompt_tokens": 40, "finish": "length"}
    source = Source("m", task="gsm8k")
    assert taken(tmp_path, "r.jsonl", record, source) == (Imported(1, 1), [(2, "#### 18", 3, 40, "length", 1)])
    assert import_rollouts(tmp_path / "r.jsonl", tmp_path / "r.db", "test", source) == Imported(1, 0)


def test_samples_of_lm_eval_are_draws_of_their_documents(tmp_path: Path) -> None:
    line = {"doc_id": 0, "doc": QUESTION, "target": "18", "arguments": {}, "resps": [["#### 18", "17"]]}
    lines = "\n".join(json.dumps(line | {"filter": name, "filtered_resps": ["18"]}) for name in ("strict", "flexible"))
    imported, found = taken(tmp_path, "samples.jsonl", lines, Source("m", task="gsm8k"))
    assert imported == Imported(2, 2)
    assert found == [(0, "#### 18", None, None, "imported", 1), (1, "17", None, None, "imported", 0)]


def test_a_log_of_inspect_is_read_whole_and_zipped(tmp_path: Path) -> None:
    parts = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "#### 18"}]
    asked = [{"role": "system", "content": "Think."}, {"role": "user", "content": "How many?"}]
    samples = [sample(1, "17"), sample(2, parts, input=asked)]
    expected = [(0, "17", 7, 5, "length", 0), (1, "#### 18", 7, 5, "length", 1)]
    log = json.dumps({"version": 2, "status": "success", "eval": {}, "samples": samples}, indent=2)
    assert taken(tmp_path, "log.json", log, Source("m", task="gsm8k")) == (Imported(2, 2), expected)
    with zipfile.ZipFile(tmp_path / "log.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        for i, one in enumerate(samples, start=1):
            archive.writestr(f"samples/1_epoch_{i}.json", json.dumps(one))
    assert import_rollouts(tmp_path / "log.eval", tmp_path / "r.db", "test", Source("m", task="gsm8k")) == Imported(2, 0)


@pytest.mark.parametrize(
    ("content", "form", "says"),
    [
        ({"input": "…", "output": "18", "gts": "18", "score": 1.0, "step": 3}, "auto", "the record has input, output, gts"),
        ({"prompt": "…", "completion": "18", "accuracy_reward": 1.0}, "auto", "the record has prompt, completion"),
        (QUESTION | {"draw": 0, "text": "", "tokens": -1}, "auto", '"tokens" must be'),
        (QUESTION | {"draw": 0, "text": "", "tokens": True}, "auto", '"tokens" must be'),
        (QUESTION | {"draw": 0, "text": "", "prompt_tokens": 1.5}, "auto", '"prompt_tokens" must be'),
        (QUESTION | {"draw": 0, "text": "", "finish": "eos"}, "auto", '"finish" must be one of stop'),
        (QUESTION | {"draw": 0, "text": "", "finish": [1]}, "auto", '"finish" must be one of stop'),
        (QUESTION, "lm-eval", 'there should be "doc" and "resps"'),
        ({"doc": QUESTION, "resps": [[[-1.5, True]]]}, "auto", '"text" must be the generated text'),
        ({"doc": {"query": "?"}, "resps": [["x"]]}, "auto", 'there is no "question"; the record has query, draw, text'),
        (sample(1, "x", output={"choices": []}), "auto", "not a sample of Inspect"),
        (sample(1, 5), "auto", '"text" must be the generated text'),
        (QUESTION, "inspect", "not a sample of Inspect"),
        ({"eval": {}, "samples": [3]}, "auto", "sample 0: not a sample of Inspect"),
    ],
)
def test_what_is_no_rollout_is_refused_in_a_line(tmp_path: Path, content: object, form: Any, says: str) -> None:
    with pytest.raises(UserError) as caught:
        taken(tmp_path, "r.jsonl", content, Source("m", task="gsm8k", form=form))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r.db").exists()


def test_a_zip_archive_that_is_no_log_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.txt", "x")
    with pytest.raises(UserError, match="zip archive without"):
        import_rollouts(tmp_path / "a.zip", tmp_path / "r.db", "test", Source("m"))
