"""Whether a file is an esprobe database, and of which version; brings an older one up to date.

Knows the file and the migrations, not what the tables mean. Looks with sqlite3 alone; Alembic is loaded only to migrate.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

from esprobe.errors import UserError

APPLICATION_ID = 0x45535052  # "ESPR" in the file's header
HEAD = "0002"  # the newest revision under migrations/ (a test compares them)

State = Literal["new", "older", "current"]


def migrations_folder() -> Path:
    """Inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def inspect(path: Path) -> State:
    """What stands at `path`, without changing it. Raises UserError for anything that is not ours to touch."""
    if not path.exists() or path.stat().st_size == 0:
        return "new"
    try:
        with closing(open_readonly(path)) as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                return "new"
            if application != APPLICATION_ID or "alembic_version" not in tables:
                raise UserError(f"{path}: is a database of another program; choose another file with --db")
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            version = str(row[0]) if row else "none"
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a database ({error}); choose another file with --db") from None
    if version == HEAD:
        return "current"
    if not version.isdigit() or not list((migrations_folder() / "versions").glob(f"{version}_*.py")):
        raise UserError(f"{path}: was written by a newer esprobe (schema {version}, this one knows {HEAD}); upgrade esprobe")
    return "older"


def existing(path: Path) -> State:
    """As `inspect`, for commands that need results: raises UserError where there is no database yet."""
    state = inspect(path)
    if state == "new":
        raise UserError(f"{path}: no results yet; run `esprobe sample-temp` first, or name the database with --db")
    return state


def open_readonly(path: Path) -> sqlite3.Connection:
    """A connection that cannot change the database. Raises UserError if it cannot be opened."""
    try:
        return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=60)
    except sqlite3.Error as error:
        raise UserError(f"{path}: cannot be opened ({error})") from None


def migrate(path: Path) -> None:
    """Creates the database or upgrades it in place, all or nothing, safe beside other processes. Raises UserError."""
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext

    from esprobe.engine import make_engine

    engine = make_engine(path)
    try:
        with engine.begin() as connection:  # takes the write lock first, so that of two processes one does it
            if MigrationContext.configure(connection).get_current_revision() != HEAD:
                views = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'view'")
                for (name,) in views.all():
                    connection.exec_driver_sql(f'DROP VIEW "{name}"')
                config = Config()
                config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                for statement in view_statements():
                    connection.exec_driver_sql(statement)
                connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    finally:
        engine.dispose()


def view_statements() -> list[str]:
    """The CREATE VIEW statements of migrations/views.sql, comments included."""
    statements, current = [], ""
    for line in (migrations_folder() / "views.sql").read_text(encoding="utf-8").splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current.strip())
            current = ""
    return statements
