"""Databases as older versions left them, and what must be true of them after an upgrade."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Column, Connection, Float, Integer, MetaData

from esprobe.analysis.reading import open_database, query
from esprobe.arms import Arm
from esprobe.store import schema
from esprobe.store.connection import make_engine
from esprobe.tasks.base import Problem


def script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_folder()))
    return ScriptDirectory.from_config(config)


REVISIONS = sorted(revision.revision for revision in script().walk_revisions())
ROWS = 6  # of each table of an older database
NOT_IN_OLDER = {"training", "vote_at_k_by_expression"}  # views of what these rows, which no scorer can read, do not have
OWN_VIEW = 'best "of" all; --'  # the user's, which does not answer


def at_revision(path: Path, revision: str, rows: int = ROWS) -> None:
    """A database as the esprobe of that revision left it, with so many rows in every table and a view of the user's."""
    engine = make_engine(path)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(schema.migrations_folder()))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.exec_driver_sql(f"CREATE VIEW {quoted(OWN_VIEW)} AS SELECT id, no_such_column FROM rollout")
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")  # in any order: model and arm refer to each other
        found = MetaData()
        found.reflect(connection)
        for table in found.tables.values():
            if rows and table.name != "alembic_version":
                connection.execute(table.insert(), [{c.name: value(c, i) for c in table.columns} for i in range(1, rows + 1)])
        set_digests(connection)
    engine.dispose()


def set_digests(connection: Connection) -> None:
    """Those that follow from the rows."""
    digests = []
    for i, task, payload in connection.exec_driver_sql("SELECT id, task, payload FROM problem").all():
        digests.append(("problem", i, Problem(task, json.loads(payload)).digest))
    sql = "SELECT arm.id, model.digest, method, value, settings FROM arm JOIN model ON model.id = model_id"
    for i, model, method, value_, settings in connection.exec_driver_sql(sql).all():
        digests.append(("arm", i, Arm("", model, method, value_, json.loads(settings)).digest))
    for table, row_id, digest in digests:
        connection.exec_driver_sql(f"UPDATE {table} SET digest = ? WHERE id = ?", (digest, row_id))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def value(column: Column[Any], i: int) -> object:
    """The value of row i in a column. References are to rows that exist, and no two columns of a key are alike."""
    if column.nullable and i % 2 and not column.foreign_keys:
        return None
    if isinstance(column.type, JSON):
        return {"numbers": [i, 7], "target": f"{i}.5"} | ({"imported": "elsewhere"} if column.name == "settings" else {})
    if isinstance(column.type, Boolean):
        return i % 3 == 0
    if isinstance(column.type, Integer):
        return {"draw": i + 10, "number": i + 10, "problem_id": ROWS + 1 - i}.get(column.name, i)
    if isinstance(column.type, Float):
        return i / 8
    return {"scorer": "countdown", "method": "perturbation"}.get(column.name, f"{column.name} {i} ‘σ’")


def rows_of(path: Path) -> dict[str, tuple[list[str], list[tuple[object, ...]]]]:
    """Table → (columns, rows)."""
    found = {}
    with closing(sqlite3.connect(path)) as connection:
        for (table,) in connection.execute(
            "select name from sqlite_master where type = 'table' and name <> 'alembic_version'"
        ).fetchall():
            cursor = connection.execute(f"select * from {table} order by 1, 2, 3")
            found[table] = ([column[0] for column in cursor.description], cursor.fetchall())
    return found


def with_reward(columns: list[str], rows: list[tuple[object, ...]]) -> tuple[list[str], list[tuple[object, ...]]]:
    """Scores of a scorer that is not known, as they are since there is a reward in place of the format reward."""
    right, form = columns.index("correct"), columns.index("format_reward")
    new = [(*row[:form], (row[right] + 0.1 * row[form]) / 1.1, *row[form + 1 :]) for row in rows]  # type: ignore[operator]
    return [*columns[:form], "reward", *columns[form + 1 :]], new


def assert_kept_and_current(path: Path, before: dict[str, tuple[list[str], list[tuple[object, ...]]]]) -> None:
    """Every older table and column has its values, all views answer, and the file is sound."""
    assert schema.inspect(path) == "current"
    with closing(open_database(path)) as connection:
        for table, (columns, rows) in before.items():
            if table == "score" and "format_reward" in columns:
                columns, rows = with_reward(columns, rows)
            assert query(connection, f"select {', '.join(columns)} from {table} order by 1, 2, 3")[1] == rows, table
        names = [name for (name,) in query(connection, "select name from sqlite_master where type = 'view'")[1]]
        assert sorted(names) == sorted([*schema.view_statements(), OWN_VIEW])
        for view in schema.view_statements():
            least = 0 if view in NOT_IN_OLDER else ROWS
            assert len(query(connection, f"select * from {view}")[1]) >= least, view
        assert query(connection, "pragma integrity_check")[1] == [("ok",)]
        assert query(connection, "pragma foreign_key_check")[1] == []
