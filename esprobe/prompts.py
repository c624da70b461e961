"""How a problem becomes the text a model reads.

Knows a task's messages and a tokenizer's chat template, no model and no numbers.
"""

from typing import Any, Literal, get_args

from esprobe.errors import UserError
from esprobe.task import Payload, Task

PromptFormat = Literal["chat", "plain"]
MAX_PROMPT = 1_000_000  # characters, beyond what any model reads
PROMPT_FORMATS: tuple[str, ...] = get_args(PromptFormat)


def prompt_text(task: Task, payload: Payload, style: PromptFormat, tokenizer: Any) -> str:
    """The prompt as text, the task's prefill included; tokenise it without adding special tokens.

    `chat` goes through the tokenizer's chat template, `plain` joins the messages. Raises UserError without a template.
    """
    messages = task.messages(payload)
    if style == "plain":
        return "".join(m["content"] for m in messages) + task.prefill
    if not tokenizer.chat_template:
        raise UserError("this model's tokenizer has no chat template; use --prompt plain")
    try:
        text: str = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    except Exception as error:  # the template is a program of whoever made the model, run in jinja's sandbox
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"this model's chat template fails ({reason}); use --prompt plain") from error
    if len(text) > MAX_PROMPT:
        raise UserError(f"this model's chat template makes a prompt of {len(text):,} characters; use --prompt plain")
    return text + task.prefill
