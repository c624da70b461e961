"""A problem is asked in the same tokens every day, with every word of it, and what the model writes is kept as it wrote it."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from esprobe.bundled import BUNDLED
from esprobe.engines.models import find_model, load_tokenizer
from esprobe.errors import UserError
from esprobe.tasks import prompts
from esprobe.tasks.countdown.task import PREFILL, SYSTEM, Countdown
from esprobe.tasks.prompts import Prompter, prompt_digest
from esprobe.tasks.texts import texts

TASK = Countdown()
PAYLOADS = [problem.payload for problem in TASK.bundled()[:4]]
QUESTION = TASK.messages(PAYLOADS[0])[1]["content"]


@pytest.fixture
def tokenizer() -> Any:
    """The bundled model's, to be changed."""
    return load_tokenizer(find_model(BUNDLED))


def asked(tokenizer: Any, template: str | dict[str, str]) -> Prompter:
    """A prompter that has rendered the problems through a template."""
    tokenizer.chat_template = template
    prompter = Prompter(TASK, "chat", tokenizer)
    prompter.ids(PAYLOADS)
    return prompter


# ---- the chat template


def test_a_template_without_the_system_role_is_given_the_system_text_before_the_users(tokenizer: Any) -> None:
    own = tokenizer.chat_template
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + own
    dropping = own.replace("{% for message in messages %}", "{% for message in messages if message['role'] != 'system' %}")
    last = "{{ messages[-1]['content'] }}\n"
    for template in (refusing, dropping, last):
        prompter = asked(tokenizer, template)
        assert f"{SYSTEM}\n\n{QUESTION}" in prompter.text(PAYLOADS[0])
        assert prompter.identity()["system"] == "before the user's text"
    assert "system" not in asked(tokenizer, own).identity()


def test_a_template_that_wants_a_text_in_parts_is_given_parts(tokenizer: Any) -> None:
    parts = (
        "{% for message in messages %}{{ message['role'] + ':' }}"
        "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}{{ '\\n' }}{% endfor %}"
    )
    prompter = asked(tokenizer, parts)
    assert f"system:{SYSTEM}\nuser:{QUESTION}\n" in prompter.text(PAYLOADS[0])
    assert prompter.identity()["content"] == "parts"


def test_white_space_that_a_template_trims_is_no_word_dropped(tokenizer: Any) -> None:
    trimmed = tokenizer.chat_template.replace("message['content']", "(message['content'] | trim)")
    assert "system" not in asked(tokenizer, trimmed).identity()


@pytest.mark.parametrize("template", ["Hello", "{{ messages[1]['content'][:40] }}", "{{ messages[0]['role'] }}"])
def test_a_template_that_drops_the_question_is_refused(tokenizer: Any, template: str) -> None:
    with pytest.raises(UserError, match=r"drops .*--prompt plain"):
        asked(tokenizer, template)


@pytest.mark.parametrize(
    "opening",
    [
        "<think>\n",
        "<think>",
        "<think>\n\n",
        "<think>\n\n</think>\n\n",
        "<think></think>",
        "</think>\n",
        "<think>\nOkay, ",
        "<think>No.</think>\n",
    ],
    ids=repr,
)
def test_a_template_that_opens_the_reasoning_gives_the_prompt_of_one_that_does_not(tokenizer: Any, opening: str) -> None:
    own = tokenizer.chat_template
    plain = asked(tokenizer, own).text(PAYLOADS[0])
    prompter = asked(tokenizer, own + "{% if add_generation_prompt %}{{ " + repr(opening) + " }}{% endif %}")
    assert prompter.text(PAYLOADS[0]) == plain
    assert plain.endswith(f"assistant\n{PREFILL}")
    assert plain.removeprefix(plain[: plain.index(QUESTION) + len(QUESTION)]).count("<think>") == 1
    assert prompter.identity()["prefill"] == "in place of the template's"
    assert "prefill" not in asked(tokenizer, own).identity()


def test_tags_in_the_question_are_no_reasoning_that_the_template_opened(tokenizer: Any) -> None:
    class Asking(Countdown):
        def messages(self, payload: Any) -> list[dict[str, str]]:
            return [{"role": "user", "content": "Think between <think> and </think>"}]

    tokenizer.chat_template = "{{ messages[0]['content'] + '\\n' }}"
    assert Prompter(Asking(), "chat", tokenizer).text(PAYLOADS[0]) == "Think between <think> and </think>\n" + PREFILL


def test_a_template_is_given_the_same_date_every_day(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tokenizer.chat_template
    dated = asked(tokenizer, "{{ strftime_now('%d %b %Y %H:%M:%S.%f') }}\n" + own)
    assert dated.text(PAYLOADS[0]).startswith("26 Jul 2024 00:00:00.000000\n")
    assert dated.identity()["today"] == "2024-07-26"
    assert "today" not in asked(tokenizer, own).identity()
    unasked = asked(tokenizer, "{% if false %}{{ strftime_now('%d') }}{% endif %}" + own)
    assert "today" not in unasked.identity()


@pytest.mark.parametrize(
    "chance", ["{{ [0, 1] | random }}", "{{ lipsum(1) }}", "{{ range(10 ** 4) | random }}", "{{ [7] | random }}"]
)
def test_a_template_that_throws_dice_is_refused(tokenizer: Any, chance: str) -> None:
    before = random.getstate()
    with pytest.raises(UserError, match="is random"):
        asked(tokenizer, chance + tokenizer.chat_template)
    random.setstate(before)


def test_a_template_that_counts_its_calls_is_refused(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = iter(range(10**6))
    monkeypatch.setattr(Prompter, "_strftime", lambda self, form: str(next(counted)))
    with pytest.raises(UserError, match="another prompt each time"):
        asked(tokenizer, "{{ strftime_now('') }}" + tokenizer.chat_template)


def test_of_several_templates_the_default_one_is_used_and_identified(tokenizer: Any) -> None:
    own = tokenizer.chat_template
    alone, among = asked(tokenizer, own), asked(tokenizer, {"tool_use": "{{ 1 / 0 }}", "default": own})
    assert among.identity() == alone.identity()
    with pytest.raises(UserError, match=r"a, b.*none is the default"):
        asked(tokenizer, {"a": own, "b": own})


def test_another_template_is_another_identity(tokenizer: Any) -> None:
    own = tokenizer.chat_template
    templates = [own, own + "{# a comment #}", "{{ strftime_now('%Y') }}" + own]
    assert len({str(asked(tokenizer, template).identity()) for template in templates}) == 3


def test_a_prompts_digest_is_that_of_its_tokens() -> None:
    assert len({prompt_digest(ids) for ids in ([1, 2], [12], [2, 1], [1, 2, 3], [])}) == 5
    assert prompt_digest([1, 22]) == "da4526dc26d208e94cd1cb6a0b92b37c"


# ---- what a tokenizer adds to a text, and what it takes from one


def framed(tokenizer: Any, frame: str) -> Any:
    """The tokenizer with `frame` as what it makes of a text $A."""
    ids = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<|im_start|>", "<|im_end|>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single=frame, special_tokens=ids)
    return tokenizer


def test_plain_text_begins_as_the_tokenizer_begins_a_text_and_never_ends(tokenizer: Any) -> None:
    bare = Prompter(TASK, "plain", tokenizer).ids(PAYLOADS)
    begin, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert Prompter(TASK, "plain", framed(tokenizer, "<|im_start|> $A")).ids(PAYLOADS) == [[begin, *ids] for ids in bare]
    assert Prompter(TASK, "plain", framed(tokenizer, "$A <|im_end|>")).ids(PAYLOADS) == bare
    both = Prompter(TASK, "plain", framed(tokenizer, "<|im_start|> $A <|im_end|>"))
    assert both.ids(PAYLOADS) == [[begin, *ids] for ids in bare]
    assert end not in both.ids(PAYLOADS)[0]
    assert both.identity()["template"] == ""


def test_a_templates_text_gets_no_additions(tokenizer: Any) -> None:
    bare = Prompter(TASK, "chat", tokenizer).ids(PAYLOADS)
    assert Prompter(TASK, "chat", framed(tokenizer, "<|im_start|> $A <|im_end|>")).ids(PAYLOADS) == bare


def pieces() -> Iterator[str]:
    """A vocabulary of the SentencePiece kind: letters with and without the sign for a space before them."""
    letters = "".join(chr(i) for i in range(33, 127))
    yield from ("<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "▁", *letters)
    yield from (f"▁{letter}" for letter in letters)


@pytest.fixture(scope="module")
def metaspace() -> Any:
    """A tokenizer as Llama 2 has it: a text begins with a space, which decoding drops."""
    vocabulary = {piece: i for i, piece in enumerate(pieces())}
    merges = [("▁", piece[1:]) for piece in vocabulary if piece.startswith("▁") and len(piece) == 2]
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    core.decoder = decoders.Sequence(steps)
    core.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("said", [" 98 - 1", "98 - 1", "\n 98\n", "  two", "", " ", "é ≤ 你", "<answer> 1 </answer>"], ids=repr)
def test_the_space_that_a_continuation_begins_with_is_kept(metaspace: Any, said: str) -> None:
    asked = "Let me think."
    prompt = metaspace(asked).input_ids
    whole = metaspace(asked + said).input_ids
    assert whole[: len(prompt)] == prompt
    assert texts(metaspace, [prompt], [[*whole[len(prompt) :], 2]], {2}) == [said]


def test_plain_prompts_of_a_sentencepiece_tokenizer_begin_with_its_bos(metaspace: Any) -> None:
    ids = Prompter(TASK, "plain", metaspace).ids(PAYLOADS)
    assert [prompt[0] for prompt in ids] == [1] * len(PAYLOADS)
    assert [prompt.count(1) for prompt in ids] == [1] * len(PAYLOADS)
    assert metaspace.decode(ids[0][1:]) == Prompter(TASK, "plain", metaspace).text(PAYLOADS[0])


# ---- what a model has written


def test_special_tokens_within_a_text_are_kept_and_the_end_token_is_not(tokenizer: Any) -> None:
    tokenizer.add_special_tokens({"additional_special_tokens": ["<answer>", "</answer>", "<pad>"]})
    prompt = Prompter(TASK, "chat", tokenizer).ids(PAYLOADS)[0]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    said = "<answer> 1 + 2 , 3 . n't</answer><pad><|endoftext|> <|im_start|>"
    ids = tokenizer(said, add_special_tokens=False).input_ids
    assert texts(tokenizer, [prompt] * 3, [[*ids, end], ids, [*ids, end, end]], {end}) == [said, said, said + "<|im_end|>"]
    assert texts(tokenizer, [prompt, prompt], [[end], []], {end}) == ["", ""]


def test_spaces_are_not_tidied_whatever_the_tokenizer_says(tokenizer: Any) -> None:
    wordpiece = Tokenizer(models.WordPiece({"[UNK]": 0, "1": 1, "+": 2, ".": 3, "a": 4, "##b": 5}, unk_token="[UNK]"))
    wordpiece.decoder = decoders.WordPiece(cleanup=False)
    tidy = PreTrainedTokenizerFast(tokenizer_object=wordpiece, unk_token="[UNK]", clean_up_tokenization_spaces=True)
    assert tidy.decode([1, 2, 1, 3]) == "1 + 1."
    assert texts(tidy, [[1, 2]], [[1, 3, 4, 5]], set()) == [" 1 . ab"]


def test_a_letter_that_is_split_over_tokens_is_one_letter(tokenizer: Any) -> None:
    prompt = Prompter(TASK, "chat", tokenizer).ids(PAYLOADS)[0]
    ids = tokenizer("≤你", add_special_tokens=False).input_ids
    assert len(ids) == 6
    assert texts(tokenizer, [prompt, prompt], [ids, ids[:-1]], set()) == ["≤你", "≤\ufffd"]


def test_the_date_is_the_one_that_templates_fall_back_on() -> None:
    assert prompts.TODAY.strftime("%d %b %Y") == "26 Jul 2024"
