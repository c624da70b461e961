"""The tokenizer of `countdown-tiny`: bytes, single digits, and whole phrases of the prompt as one token each.

Any text can be encoded (there is a token for every byte); the published prompt takes some 20 tokens instead of 110.
Loads transformers, so only training and its tests import it.
"""

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from esprobe.tasks.countdown.task import INSTRUCTIONS, PREFILL, SYSTEM

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = (END_OF_TEXT, START, END)
PHRASES = (
    "system\n",
    "user\n",
    "assistant\n",
    SYSTEM,
    "Using the numbers [",
    "], create an equation that equals ",
    ". " + INSTRUCTIONS,
    PREFILL,
    "</think>\n<answer> ",
    " </answer>",
    ", ",
    " + ",
    " - ",
    " * ",
    " / ",
    " = ",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def build() -> PreTrainedTokenizerFast:
    """A fresh tokenizer: 256 bytes, the special tokens, the phrases; pads on the left, for generation."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    core.add_tokens([AddedToken(t, special=False, normalized=False) for t in PHRASES])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        eos_token=END,
        pad_token=END_OF_TEXT,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )


def save(tokenizer: PreTrainedTokenizerFast, folder: Path, samples: list[str]) -> None:
    """Saves it and proves that what loads again gives identical ids, text and padding side (AssertionError otherwise)."""
    tokenizer.save_pretrained(folder)
    again = AutoTokenizer.from_pretrained(folder)
    for text in samples:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert again(text, add_special_tokens=False).input_ids == ids, text
        assert again.decode(ids, skip_special_tokens=False) == text, text
    assert (again.padding_side, again.eos_token, again.pad_token) == ("left", END, END_OF_TEXT)
