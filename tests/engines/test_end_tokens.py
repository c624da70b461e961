"""A rollout ends at every token that a config, the tokenizer or its chat template calls an end, and differences are told."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from esprobe.bundled import BUNDLED
from esprobe.engines.end_tokens import end_of_turn
from esprobe.engines.models import ModelFiles, find_model, load_tokenizer

PAD, IM_START, IM_END = 256, 257, 258  # the bundled tokenizer's special tokens


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The bundled model, without an end token in any file."""
    folder = Path(shutil.copytree(find_model(BUNDLED).folder, tmp_path / "model"))
    for name in ("config.json", "generation_config.json"):
        configure(folder, name, eos_token_id=None)
    configure(folder, "tokenizer_config.json", eos_token=None)
    (folder / "chat_template.jinja").unlink()
    return folder


def configure(folder: Path, name: str, **values: Any) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | values))


def ends(folder: Path) -> tuple[list[int], str | None]:
    model: ModelFiles = find_model(str(folder))
    tokenizer = load_tokenizer(model)
    return model.end_ids(tokenizer), model.end_note(tokenizer)


def test_a_model_without_end_tokens_has_none(folder: Path) -> None:
    assert ends(folder) == ([], None)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
@pytest.mark.parametrize("value", [IM_END, [IM_END], [IM_END, IM_END]])
def test_one_source_is_enough(folder: Path, name: str, value: Any) -> None:
    configure(folder, name, eos_token_id=value)
    assert ends(folder) == ([IM_END], None)


def test_a_multimodal_models_text_config_counts(folder: Path) -> None:
    configure(folder, "config.json", text_config={"eos_token_id": [PAD, IM_END]})
    assert ends(folder) == ([PAD, IM_END], None)


def test_the_tokenizer_counts(folder: Path) -> None:
    configure(folder, "tokenizer_config.json", eos_token="<|im_end|>")
    assert ends(folder) == ([IM_END], None)


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ("<|im_end|>\n", [IM_END]),
        (" <|im_end|>", [IM_END]),
        ("<|im_end|><|endoftext|>", [IM_END]),
        ("\n", []),
        ("", []),
        (" over and out <|im_end|>", []),  # words first: it is no sign of an answer's end alone
        ("{{ raise_exception('no') }}", []),
    ],
)
def test_the_special_token_after_an_answer_counts(folder: Path, after: str, found: list[int]) -> None:
    template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}" + after + "{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    assert ends(folder)[0] == found


def test_an_end_of_turn_that_is_not_called_special_counts(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    for token in content["added_tokens"]:
        token["special"] = False
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}")
    assert ends(folder)[0] == [IM_END]


def test_a_template_that_takes_parts_counts(folder: Path) -> None:
    parts = "{% for part in m.content %}{{ part.text }}{% endfor %}"
    template = "{% for m in messages %}<|im_start|>" + parts + "<|im_end|>{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    assert ends(folder)[0] == [IM_END]


def test_no_chat_template_no_end_of_turn(folder: Path) -> None:
    assert end_of_turn(load_tokenizer(find_model(str(folder)))) == []


def test_sources_that_differ_are_united_and_told(folder: Path) -> None:
    configure(folder, "config.json", eos_token_id=PAD)
    configure(folder, "generation_config.json", eos_token_id=[PAD])
    configure(folder, "tokenizer_config.json", eos_token="<|im_end|>")
    ids, note = ends(folder)
    assert ids == [PAD, IM_END]
    assert note is not None
    assert "config.json 256 <|endoftext|>, generation_config.json 256 <|endoftext|>, the tokenizer 258 <|im_end|>" in note
    assert "\n" not in note


def test_the_bundled_models_sources_agree() -> None:
    assert ends(find_model(BUNDLED).folder) == ([IM_END], None)
