"""Runs the command line: an error becomes one line and an exit status. Knows no command."""

import errno
import os
import sys
from collections.abc import Sequence

import typer

from esprobe.cli import commands, reporting, sampling, streams
from esprobe.cli.app import app
from esprobe.cli.interruption import interruption
from esprobe.cli.usage import usage_line
from esprobe.errors import UserError
from esprobe.report import encoding, render
from esprobe.report.pasting import to_paste

# typer contains a copy of click or uses the installed one; either way this is the base class of all wrong usage
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]
PARTS = (sampling, commands, reporting)  # each has added its commands to the app
LONGEST_ERROR = 1000  # characters; a name that it quotes may have any length


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    interruption.watch()
    _forget_impossible_sizes()
    words = list(sys.argv[1:] if args is None else args)
    try:
        status = int(app(args=words or ["--help"], prog_name="esprobe", standalone_mode=False) or 0)
        if sys.stdout is not None:
            sys.stdout.flush()  # what cannot be written fails here, where the error can be reported
        return _interrupted() if status == 130 else status  # typer turns Ctrl-C into this status and says nothing
    except _UsageError as error:
        return _fail(usage_line(error), 2)
    except UserError as error:
        return _interrupted() if interruption.asked else _fail(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError as error:
        return _unread(error)
    except SystemExit as error:  # typer's answer to a closed pipe under its help, after it has redirected the output to nothing
        if isinstance(error.__context__, BrokenPipeError):
            return 0
        raise
    except Exception as error:  # the last chance to say in one line what no other place has foreseen
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _drop_output()
            return _fail("the disk is full, so the output is not whole; free some space and run the same command again", 1)
        if interruption.asked:  # a library's import turns Ctrl-C into another error
            return _interrupted()
        if os.environ.get("ESPROBE_TRACEBACK"):
            raise
        if isinstance(error, OSError) and error.strerror:
            return _fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror, 1)
        if isinstance(error, UnicodeEncodeError):
            return _fail(f"{error.object!r} is not UTF-8 text; write it in UTF-8", 1)
        if isinstance(error, MemoryError):
            return _fail("memory is exhausted; take fewer problems, draws or rollouts at a time", 1)
        return _fail(f"unexpected {type(error).__name__}: {error} (ESPROBE_TRACEBACK=1 shows where)", 1)


def _forget_impossible_sizes() -> None:
    """Removes a terminal size from the environment that is not one: the libraries that read it would fail."""
    for name in ("COLUMNS", "LINES"):
        value = os.environ.get(name, "1")
        if not (value.isascii() and value.isdecimal() and len(value) <= 4 and int(value)):
            del os.environ[name]


def _drop_output() -> None:
    """Discards what is still to be printed, so that Python does not fail over it while it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted() -> int:
    return _fail(interruption.line(), 130)


def _unread(error: BrokenPipeError) -> int:
    """Standard output whose reader has closed it, as `head` does, is no error; any other broken pipe is one."""
    if not streams.is_unread(sys.stdout):
        return _fail(f"a process that this command works with has ended ({error.strerror}); what was finished is kept", 1)
    _drop_output()
    return 0


def _fail(message: str, status: int) -> int:
    line = render.shown(" ".join(to_paste(message).split()))
    if len(line) > LONGEST_ERROR:
        line = f"{line[: LONGEST_ERROR // 2]} … {line[-LONGEST_ERROR // 2 :]}"
    print(f"error: {line}", file=sys.stderr)
    return status


def entry_point() -> None:
    """What the installed command calls."""
    streams.keep_going()
    encoding.show_anything()
    sys.exit(main())
