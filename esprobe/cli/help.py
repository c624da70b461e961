"""How `--help` looks: groups of options in columns that fit 80 characters, with defaults and variables in the least room.

Knows what an option of typer is called and says of itself; no option and no command.
"""

import inspect
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer
from typer.core import TyperCommand

from esprobe.report.encoding import encodable

NARROWEST, WIDEST = 40, 100  # columns that a page is laid out for
TIED = "\xa0"  # a space at which no line is broken
LEFT = 33  # columns for an option and its value, at most; a longer one has a line to itself
ARGUMENTS, OTHERS = "Arguments", "Options"  # the groups of what has no other
STARRED = " *"  # what marks an option that a variable can set

# What values are called: short, so that words have room.
_VALUES: dict[Any, str] = {
    int: "N",
    float: "X",
    str: "NAME",
    Path: "PATH",
    list[int]: "N,…",
    list[float]: "X,…",
    list[str]: "NAME,…",
}
LONGEST_CHOICE = 14  # characters of `chat|plain`; longer lists are part of the words

Entry = tuple[str, str]  # an option or a command, and what it does


class Command(TyperCommand):
    """A command whose help is laid out here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the page."""
        formatter.write(page(self, ctx, options_by_group(self.get_params(ctx))))


def name_values(function: Callable[..., Any]) -> None:
    """Gives the options of a command that say no other name for their value the one of its type."""
    for parameter in inspect.signature(function).parameters.values():
        for option in getattr(parameter.annotation, "__metadata__", ()):
            option.metavar = option.metavar or _value(parameter.annotation.__origin__)


def _value(kind: Any) -> str | None:
    """What a value of this type is called; None for a switch, which has none."""
    kinds = [part for part in get_args(kind) if part is not type(None)]
    if get_origin(kind) is Literal:
        choices = "|".join(kinds)
        return choices if len(choices) <= LONGEST_CHOICE else "NAME"
    return _VALUES.get(kinds[0] if get_origin(kind) in (Union, UnionType) else kind)


def page(command: Any, ctx: Any, groups: dict[str, list[Entry]]) -> str:
    """A command's help: usage, what it does, its examples, its groups of entries, and notes on them."""
    width = min(WIDEST, max(NARROWEST, shutil.get_terminal_size().columns))
    arguments = [name for name, _ in groups.get(ARGUMENTS, ())]
    usage = " ".join(["Usage:", ctx.command_path, *(["COMMAND"] if ctx.parent is None else arguments), "[OPTIONS]"])
    told = " ".join((command.help or "").split())
    examples = [example.strip() for example in (command.epilog or "").removeprefix("Example:").split("; ")]
    parts = [usage, textwrap.fill(told, width), "\n         ".join(examples).join(["Example: ", ""])]
    # typer would write UTF-8 where the terminal has none; and columns are laid out for what is printed
    groups = {title: [(encodable(name), encodable(what)) for name, what in entries] for title, entries in groups.items()}
    left = min(LEFT, max(len(name) for entries in groups.values() for name, _ in entries) + 2)
    parts += [f"{typer.style(title, bold=True)}\n{_columns(entries, left, width)}" for title, entries in groups.items()]
    notes = [textwrap.fill(note, width) for note in _notes(ctx, command.get_params(ctx))]
    return encodable("\n\n".join([*parts, *notes]) + "\n")


def _columns(entries: Iterable[Entry], left: int, width: int) -> str:
    lines = []
    for name, told in entries:
        tied = re.sub(r"\[[^\]]*\]| \*$", lambda part: part[0].replace(" ", TIED), told)  # a default, and the star
        wrapped = textwrap.wrap(tied, width - left - 2, break_long_words=False, break_on_hyphens=False)
        first, *more = [line.replace(TIED, " ") for line in wrapped] or [""]
        if len(name) + 2 > left:
            lines += [f"  {name}"]
            more, first = [first, *more], ""
        lines += [f"  {name.ljust(left)}{first}"] if first else []
        lines += [" " * (left + 2) + line for line in more]
    return "\n".join(lines)


def options_by_group(params: Sequence[Any]) -> dict[str, list[Entry]]:
    """Group → its options: arguments, then what has no group, then the groups in the order of their first options, then help."""
    groups: dict[str, list[Entry]] = {ARGUMENTS: [], OTHERS: []}
    for param in params:
        own = ARGUMENTS if param.param_type_name == "argument" else OTHERS
        groups.setdefault(getattr(param, "rich_help_panel", None) or own, []).append(_entry(param))
    if len(groups[OTHERS]) == 1:  # help alone
        groups[OTHERS] = groups.pop(OTHERS)
    return {title: entries for title, entries in groups.items() if entries}


def _entry(param: Any) -> Entry:
    """`-n, --samples N` and `Draws per problem. [64] *`."""
    if param.param_type_name == "argument":
        return (param.metavar or param.name.upper()), param.help or ""
    names = sorted(param.opts, key=len)
    name = ", ".join(names) if len(names[0]) == 2 else "    " + ", ".join(names)
    value = "" if param.is_flag else f" {param.metavar or 'VALUE'}"
    default = "" if param.is_flag or param.multiple or param.default in (None, "") else f" [{param.default}]"
    required = " (required)" if param.required else ""
    return name + value, f"{param.help or ''}{required}{default}{STARRED if param.envvar else ''}"


def _notes(ctx: Any, params: Sequence[Any]) -> list[str]:
    """What the page says of all its options: how variables set them, and which options stand elsewhere."""
    notes = []
    if starred := [param for param in params if param.envvar]:
        some = max(starred, key=lambda param: "max_new" in param.name)
        notes = [f"* can also be set by a variable: {max(some.opts, key=len)} by {some.envvar}, the others alike."]
    if ctx.parent is not None:
        notes += [f"--db PATH and --quiet are options of every command: {ctx.parent.command_path} -h"]
    return notes
