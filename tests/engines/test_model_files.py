"""Models are found by name or path, known by their content, and the bundled one is what the README says."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from esprobe.bundled import BUNDLED, MODELS
from esprobe.engines.models import find_model, load_tokenizer
from esprobe.errors import UserError
from tests.conftest import HANGS_S


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


@pytest.mark.parametrize("file", ["all_results.json", "trainer_state.json", "preprocessor_config.json", "notes/config.json"])
def test_files_that_nothing_reads_change_nothing(copy: Path, file: str) -> None:
    before = find_model(str(copy)).digest
    (copy / file).parent.mkdir(exist_ok=True)
    (copy / file).write_text('{"eval_loss": 1.0}')
    (copy / "spare.safetensors").write_bytes(b"not read")
    assert find_model(str(copy)).digest == before


@pytest.mark.parametrize(
    "file", ["generation_config.json", "special_tokens_map.json", "additional_chat_templates/default.jinja", "merges.txt"]
)
def test_files_that_loading_reads_are_digested_by_content(copy: Path, file: str) -> None:
    digests = {find_model(str(copy)).digest}
    (copy / file).parent.mkdir(exist_ok=True)
    for content in ("{}", '{"a": 1}'):
        (copy / file).write_text(content)
        digests.add(find_model(str(copy)).digest)
    assert len(digests) == 3


def sharded(folder: Path, where: str) -> Path:
    """The weights in a file that an index names, in place of model.safetensors; returns the file."""
    names = list(load_file(folder / "model.safetensors"))
    file = folder / where
    file.parent.mkdir(exist_ok=True)
    (folder / "model.safetensors").rename(file)
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, where)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return file


def test_shards_are_those_of_the_index(copy: Path) -> None:
    shard = sharded(copy, "model-00001-of-00001.safetensors")
    before = find_model(str(copy)).digest
    (copy / "model-00002-of-00002.safetensors").write_bytes(b"of another download")
    assert find_model(str(copy)).digest == before
    weights = load_file(shard)
    save_file({name: weight * 2 for name, weight in weights.items()}, shard, metadata={"format": "pt"})
    assert find_model(str(copy)).digest != before
    shard.unlink()
    with pytest.raises(UserError, match=r"model-00001-of-00001\.safetensors is missing"):
        find_model(str(copy))


@pytest.mark.parametrize("where", ["../out.safetensors", "/out.safetensors", "sub/../../out.safetensors", "", 7])
def test_an_index_that_leaves_the_folder_is_refused(copy: Path, where: object) -> None:
    shard = sharded(copy, "model-00001-of-00001.safetensors")
    index = copy / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"model.norm.weight": where, "lm_head.weight": shard.name}}))
    with pytest.raises(UserError, match="not inside the model's folder"):
        find_model(str(copy))


def linked(copy: Path, cache: Path, name: str) -> Path:
    """A snapshot as the hub's cache has it: its weights are a link to a blob of that name."""
    model = cache / "models--someone--countdown"
    snapshot, blob = model / "snapshots" / "main", model / "blobs" / name
    blob.parent.mkdir(parents=True)
    shutil.copytree(copy, snapshot)
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to(Path("../../blobs") / name)
    return snapshot


def test_a_blob_is_known_by_its_name_in_the_hubs_cache_alone(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled, other = find_model(BUNDLED).digest, "a" * 64
    true = hashlib.sha256((copy / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert find_model(str(linked(copy, tmp_path / "hub", true))).digest == bundled
    assert find_model(str(linked(copy, tmp_path / "elsewhere", other))).digest == bundled  # read, whatever it is called
    shutil.rmtree(tmp_path / "hub")
    assert find_model(str(linked(copy, tmp_path / "hub", other))).digest != bundled  # so a name is what is looked at there


def test_files_changed_after_the_digest_are_seen(copy: Path) -> None:
    model = find_model(str(copy))
    model.check_unchanged()
    weights = copy / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content)
    model.check_unchanged()  # written again with the same content
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match="changed while it was loaded"):
        model.check_unchanged()
    weights.write_bytes(content)
    (copy / "merges.txt").write_text("came later")
    with pytest.raises(UserError, match="changed while it was loaded"):
        model.check_unchanged()


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_is_to_be_merged_first(copy: Path, file: str) -> None:
    (copy / file).write_text("{}")
    with pytest.raises(UserError, match=f"{file} is an adapter; merge it"):
        find_model(str(copy))


def test_what_is_not_a_model_is_one_clear_error(tmp_path: Path) -> None:
    for name, says in [("./nowhere", "no such folder"), (str(tmp_path), "no config.json"), ("a b", "no such folder")]:
        with pytest.raises(UserError, match=says):
            find_model(name)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match="only safetensors"):
        find_model(str(tmp_path))
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"neither model\.safetensors nor"):
        find_model(str(tmp_path))
    (tmp_path / "config.json").write_text('{"transformers_weights": "weights.safetensors"}')
    with pytest.raises(UserError, match="transformers_weights"):
        find_model(str(tmp_path))


@pytest.mark.parametrize(
    ("length", "says"), [('"2048"', "no length"), ("-1", "no length"), ("true", "no length"), ("[1]", "no length")]
)
def test_a_context_that_is_no_length_is_one_clear_error(copy: Path, length: str, says: str) -> None:
    config = (copy / "config.json").read_text()
    (copy / "config.json").write_text(config.replace('"max_position_embeddings": 2048', f'"max_position_embeddings": {length}'))
    with pytest.raises(UserError, match=says):
        find_model(str(copy)).context_length()


def test_a_token_beyond_the_embedding_is_named(copy: Path) -> None:
    model, tokenizer = find_model(str(copy)), load_tokenizer(find_model(str(copy)))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|extra|>"]})
    model.check_prompts([[1, 2], [3]], tokenizer)
    with pytest.raises(UserError, match=r"token 275 \(<\|extra\|>\), but the embedding .* ends at 274"):
        model.check_prompts([[1, 2], tokenizer("<|extra|>").input_ids], tokenizer)
    with pytest.raises(UserError, match="a prompt has 2048 tokens"):
        model.check_prompts([[1] * 2048], tokenizer)


@pytest.mark.parametrize("name", MODELS)
def test_the_bundled_models_are_small_qwen2_with_a_chat_template(name: str) -> None:
    model = find_model(name)
    assert (model.name, model.new_tokens) == (name, 64)
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
        command = [sys.executable, "-m", "esprobe.bundled.train", "--out", str(tmp_path / out), "--steps", "100", "--batch", "4"]
        done = subprocess.run([*command, "--exclude", str(exclude)], capture_output=True, text=True, timeout=HANGS_S)
        assert done.returncode == 0, done.stderr
        assert "loss" in done.stdout
    assert find_model(str(tmp_path / "a")).digest == find_model(str(tmp_path / "b")).digest
