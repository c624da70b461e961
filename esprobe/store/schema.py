"""Whether a file is an esprobe database, and of which version; brings an older one up to date.

Knows the file and the migrations, not what the tables mean. Looks with sqlite3 alone; Alembic is loaded only to migrate.
"""

import logging
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal

from esprobe.errors import UserError
from esprobe.store.faults import reason, unwritable

APPLICATION_ID = 0x45535052  # "ESPR" in the file's header
HEAD = "0009"  # the newest revision under migrations/ (a test compares them)
State = Literal["new", "older", "current"]
_LOG = logging.getLogger(__name__)


def migrations_folder() -> Path:
    """Inside the package when installed from a wheel, next to it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def inspect(path: Path) -> State:
    """What is at `path`, without changing it or leaving a file next to it. Raises UserError for what is not ours to touch."""
    try:
        there = path.stat()
        if not stat.S_ISREG(there.st_mode):
            raise UserError(f"{path}: cannot be a database, because it is not a file; choose another one with --db")
        if there.st_nlink > 1:
            raise UserError(
                f"{path}: has {there.st_nlink} names (hard links), and SQLite keeps its log next to one of them; "
                "use a copy of it, or remove the other names"
            )
        if there.st_size == 0:
            return "new"
        application, versions = _look(path)
    except (FileNotFoundError, NotADirectoryError):
        return "new"
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a database ({reason(error)}); choose another file with --db") from None
    if application is None:
        return "new"
    if application != APPLICATION_ID or not versions:
        raise UserError(f"{path}: is a database of another program; choose another file with --db")
    if len(versions) > 1:
        raise UserError(
            f"{path}: its table alembic_version has {len(versions)} rows ({', '.join(versions)}) and should have one; restore "
            "it from a copy, or delete the rows that are wrong"
        )
    version = versions[0]
    if version == HEAD:
        return "current"
    if not version.isdigit() or not list((migrations_folder() / "versions").glob(f"{version}_*.py")):
        raise UserError(f"{path}: was written by a newer esprobe (schema {version}, this one knows {HEAD}); upgrade esprobe")
    return "older"


def _look(path: Path) -> tuple[int | None, list[str]]:
    """(application id, schema versions: one in a sound database), None where there is none. Raises OSError and sqlite3.Error.

    SQLite looks at the file alone first: with the log it would put its index of the log next to a file that may not be ours.
    Only SQLite may open the file: when a process closes it by other means, it loses SQLite's locks on it.
    """
    alone = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    for attempt in range(3):
        before = path.stat()
        try:
            found = _read_version(alone)
        except sqlite3.Error:
            if APPLICATION_ID in _application_ids_in_log(path):
                return _read_version(readonly_uri(path))
            after = path.stat()
            if attempt == 2 or (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size):
                raise
            continue  # another process wrote just now
        if found[0] == APPLICATION_ID:
            return _read_version(readonly_uri(path)) if _has_log(path) else found
        in_log = set(_application_ids_in_log(path))
        if APPLICATION_ID in in_log:
            return _read_version(readonly_uri(path))
        return (-1, []) if in_log else found
    raise AssertionError("the last attempt returns or raises")


def _read_version(uri: str) -> tuple[int | None, list[str]]:
    with closing(sqlite3.connect(uri, uri=True, timeout=60)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return None, []
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        if application != APPLICATION_ID or "alembic_version" not in tables:
            return application, []
        return application, [str(row[0]) for row in connection.execute("SELECT version_num FROM alembic_version LIMIT 9")]


def _log(path: Path) -> Path:
    """SQLite's write-ahead log: what is in it, the file may lack."""
    path = path.resolve()
    return path.with_name(f"{path.name}-wal")


def _has_log(path: Path) -> bool:
    try:
        return _log(path).stat().st_size > 0
    except FileNotFoundError:
        return False


def _application_ids_in_log(path: Path) -> Iterator[int]:
    """Of every state of the database's first page in the log, finished or not."""
    if not _has_log(path):
        return
    with suppress(FileNotFoundError), _log(path).open("rb") as file:
        size = int.from_bytes(file.read(32)[8:12])  # the log's header, then frames of 24 bytes and a page each
        while size and len(frame := file.read(24)) == 24:
            if int.from_bytes(frame[:4]) != 1:
                file.seek(size, os.SEEK_CUR)
            elif (page := file.read(size)).startswith(b"SQLite format 3\0"):
                yield int.from_bytes(page[68:72])


def existing(path: Path) -> State:
    """As `inspect`, for commands that need results: raises UserError where there is no database yet."""
    state = inspect(path)
    if state == "new":
        raise UserError(f"{path}: no results yet; run `esprobe sample-temp` first, or name the database with --db")
    return state


def readonly_uri(path: Path) -> str:
    """How SQLite opens the database so that it cannot change it; also where nothing can be written next to it.

    Raises UserError where it cannot be read without writing.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    if os.access(path.resolve().parent, os.W_OK):
        return uri
    if not _has_log(path):
        return f"{uri}&immutable=1"  # SQLite then needs no index of the log, and no such process can change the file
    if not path.resolve().with_name(f"{path.resolve().name}-shm").exists():
        raise UserError(f"{path}: its folder cannot be written, which its log needs; copy it and {_log(path).name} elsewhere")
    return uri


def open_readonly(path: Path) -> sqlite3.Connection:
    """A connection that cannot change the database. Raises UserError if it cannot be opened."""
    try:
        connection = sqlite3.connect(readonly_uri(path), uri=True, timeout=60)
        connection.execute("PRAGMA schema_version")
        return connection
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"{path}: cannot be opened ({reason(error)})") from None


def migrate(path: Path) -> None:
    """Creates the database or upgrades it in place, all or nothing, safe while other processes use it. Raises UserError."""
    from sqlalchemy.exc import DBAPIError

    try:
        upgrade(path, lambda line: _LOG.warning("%s: %s", path, line))
    except UserError as error:
        raise UserError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except (DBAPIError, sqlite3.Error) as error:
        raise UserError(unwritable(path, error)) from None


def upgrade(path: Path, tell: Callable[[str], None] = lambda line: None) -> None:
    """As `migrate`, but passes on whatever SQLite and the migrations raise; logs what it does with an older database.

    Afterwards every verdict is by today's rule of its scorer, so that one name never mixes two. Some migrations copy tables,
    which needs three times the file's size on the disk until the end; scoring takes most of the time.
    """
    from esprobe.store.connection import make_engine

    engine = make_engine(path)
    try:
        with engine.connect() as connection:
            # rows are copied as they are, so one that refers to nothing stays, and none is removed with what it refers to;
            # in a transaction it would have no effect
            connection.connection.driver_connection.execute("PRAGMA foreign_keys = OFF")  # type: ignore[union-attr]
            with connection.begin():  # takes the write lock, so that of two processes one does it
                _bring_to_head(connection, tell)
    finally:
        engine.dispose()


def _bring_to_head(connection: Any, tell: Callable[[str], None]) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext

    from esprobe.store.upgrade_scores import score_again

    revision = MigrationContext.configure(connection).get_current_revision()
    if revision == HEAD:
        return
    _check_names(connection)
    if revision is not None:
        tell("was written by an older esprobe; upgrading it, once")
    own = connection.exec_driver_sql(_OWN_VIEWS).all()
    for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'view'").all():
        connection.exec_driver_sql(f"DROP VIEW {_quoted(name)}")
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    views = view_statements()
    for statement in [*views.values(), *(sql for name, sql in own if name.lower() not in views)]:
        connection.exec_driver_sql(statement)
    if revision is not None:
        changed, scores = score_again(connection.connection.driver_connection)
        if scores:
            tell(f"upgraded; all {scores:,} verdicts were checked by today's rules, and {changed:,} of them changed")
    connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


# The user's views, and triggers on any view, which go with it; in the order in which they were made.
_OWN_VIEWS = """
SELECT name, sql FROM sqlite_master
WHERE type = 'view' OR type = 'trigger' AND tbl_name IN (SELECT name FROM sqlite_master WHERE type = 'view')
ORDER BY type DESC, rowid
"""


def _check_names(connection: Any) -> None:
    """Raises UserError where a table or an index of the user's has a view's name; a view of that name is replaced."""
    for kind, name in connection.exec_driver_sql("SELECT type, name FROM sqlite_master WHERE type IN ('table', 'index')").all():
        if name.lower() in view_statements():
            rename = f"ALTER TABLE {_quoted(name)} RENAME TO …" if kind == "table" else f"DROP INDEX {_quoted(name)}"
            raise UserError(
                f"it contains {'an' if kind == 'index' else 'a'} {kind} {name}, a name that esprobe needs for a view: {rename}"
            )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def view_statements() -> dict[str, str]:
    """Name → CREATE VIEW statement of the views in migrations/views.sql, comments included.

    One more has no text of its own: `vote_at_k_by_expression` is `vote_at_k` with the other ballot.
    """
    statements, current = {}, ""
    for line in (migrations_folder() / "views.sql").read_text(encoding="utf-8").splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements[current.split("CREATE VIEW ")[1].split()[0]] = current.strip()
            current = ""
    return statements | {"vote_at_k_by_expression": _by_expression(statements["vote_at_k"])}


def _by_expression(vote_at_k: str) -> str:
    """The view `vote_at_k` with the other ballot, without the arms in which a ballot has no expression."""
    text = re.sub(
        r"\bballot\b", "expression", vote_at_k.replace("CREATE VIEW vote_at_k ", "CREATE VIEW vote_at_k_by_expression ")
    )
    every = "FROM cell GROUP BY scorer, arm_id)"
    if text.count(every) != 1:
        raise AssertionError("the view `vote_at_k` is not written as this expects")
    return text.replace(every, _WITH_EXPRESSIONS)


_WITH_EXPRESSIONS = """
  FROM cell LEFT JOIN (
    SELECT DISTINCT scorer AS of_scorer, arm_id AS of_arm FROM score WHERE ballot IS NOT NULL AND expression IS NULL
  ) AS lacking ON lacking.of_scorer = cell.scorer AND lacking.of_arm = cell.arm_id
  WHERE lacking.of_arm IS NULL
  GROUP BY scorer, arm_id)
""".strip()
