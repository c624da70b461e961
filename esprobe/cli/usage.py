"""What is wrong with a command as it was typed, in the words of esprobe's options. Knows typer's errors, no command."""

import re
from typing import Any

# A library's kind of error → what it means to whoever typed the value, with the value and the limit.
_WORDS = {
    "int_parsing": "{value} is not a whole number",
    "int_from_float": "{value} is not a whole number",
    "int_parsing_size": "{value} is too large",
    "float_parsing": "{value} is not a number",
    "finite_number": "{value} is not a finite number",
    "bool_parsing": "{value} is neither 1 nor 0",
    "greater_than_equal": "must be at least {ge:g}, not {plain}",
    "less_than_equal": "must be at most {le:g}, not {plain}",
}
# What typer says → what is meant; the groups of the one are filled into the other.
_SAID = (
    (r"Invalid value: (.*)", r"\1"),
    (r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", r"the command takes no further word: \1"),
    (r"Option (.*) requires an argument", r"\1 needs a value after it"),
    (r"No such option '([^']*)'(.*)", r"No such option: \1\2"),  # an older typer's
    (r"No such option: (\S+) \(Possible options: (.*)\)", r"No such option: \1. Did you mean \2?"),
)


def usage_line(error: Any) -> str:
    """One line: what is wrong, and where the help is."""
    ctx = getattr(error, "ctx", None)
    return f"{_what(error, ctx)} (see: {ctx.command_path if ctx else 'esprobe'} --help)"


def _what(error: Any, ctx: Any) -> str:
    param, found = getattr(error, "param", None), getattr(error.__cause__, "errors", None)
    if param is None or found is None:
        return _in_our_words(str(error.format_message()).rstrip("."))
    first = found()[0]
    words = _WORDS.get(first["type"])
    if words is None:
        said = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
    else:
        said = words.format(value=repr(first["input"]), plain=first["input"], **first.get("ctx", {}))
    return f"{_name(param, ctx)}{' ' if said.startswith('must') else ': '}{said}"


def _in_our_words(said: str) -> str:
    for pattern, meant in _SAID:
        said = re.sub(f"^{pattern}$", meant, said, flags=re.DOTALL)
    return said


def _name(param: Any, ctx: Any) -> str:
    """The option as it was given: its longest spelling, or the variable that its value came from."""
    source = ctx.get_parameter_source(param.name) if ctx else None
    if getattr(source, "name", "") == "ENVIRONMENT":
        return str(param.envvar)
    return repr(max(param.opts, key=len))
