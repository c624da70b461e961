"""Models are found by name or path, known by their content, and the bundled one is what the README says."""

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from esprobe.errors import UserError
from esprobe.models import BUNDLED, find_model, load_tokenizer


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in find_model(BUNDLED).folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_a_model_is_known_by_its_content(copy: Path) -> None:
    bundled = find_model(BUNDLED)
    assert find_model(str(copy)).digest == bundled.digest
    (copy / "README.md").write_text("notes change nothing")
    assert find_model(str(copy)).digest == bundled.digest
    (copy / "chat_template.jinja").write_text("another prompt is another model")
    assert find_model(str(copy)).digest != bundled.digest


def test_a_hub_blob_is_known_by_its_name(copy: Path, tmp_path: Path) -> None:
    import hashlib

    blobs = tmp_path / "blobs"
    blobs.mkdir()
    weights = copy / "model.safetensors"
    blob = blobs / hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.rename(blob)
    weights.symlink_to(blob)
    assert find_model(str(copy)).digest == find_model(BUNDLED).digest


def test_what_is_not_a_model_is_one_clear_error(tmp_path: Path) -> None:
    for name, says in [("./nowhere", "no such folder"), (str(tmp_path), "no config.json"), ("a b", "no such folder")]:
        with pytest.raises(UserError, match=says):
            find_model(name)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match="only safetensors"):
        find_model(str(tmp_path))


def test_the_bundled_model_is_small_qwen2_with_a_chat_template() -> None:
    model = find_model(BUNDLED)
    assert model.config["model_type"] == "qwen2"
    assert sum(w.numel() for w in load_file(model.folder / "model.safetensors").values()) == 397_056
    assert sum(file.stat().st_size for file in model.folder.iterdir()) < 2_000_000
    tokenizer = load_tokenizer(model)
    assert tokenizer.chat_template
    assert tokenizer.padding_side == "left"
    for text in ("Grüße, 你好\n\t<think> 12 + 3", "</think>\n<answer> (1 + 2) / 3 </answer>"):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_training_runs_and_repeats_itself(tmp_path: Path) -> None:
    exclude = tmp_path / "mine.jsonl"
    exclude.write_text('{"numbers": [1, 2, 3], "target": 6}\n')
    for out in ("a", "b"):
        command = [sys.executable, "-m", "esprobe.tiny.train", "--out", str(tmp_path / out), "--steps", "100", "--batch", "4"]
        done = subprocess.run([*command, "--exclude", str(exclude)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "loss" in done.stdout
    assert find_model(str(tmp_path / "a")).digest == find_model(str(tmp_path / "b")).digest
