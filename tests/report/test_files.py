"""Files that are written for people: whole or not at all, with the mode they had, through no link that others may have laid."""

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from esprobe.analysis.reading import open_database
from esprobe.report.files import write_whole
from tests.conftest import ESPROBE, Run
from tests.helpers.errors import one_line_error
from tests.helpers.made import make
from tests.helpers.wired import explore, save_plots

NOBODY = 65534
ARMS = [("temperature", 0.5, {0: "+---", 1: "++--"}), ("perturbation", 0.01, {0: "----", 1: "+---"})]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    make(tmp_path / "r.db", ARMS)
    return tmp_path / "r.db"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_page_that_is_replaced_keeps_its_mode_and_its_other_names_keep_what_they_held(db: Path, tmp_path: Path) -> None:
    page, other = tmp_path / "page.html", tmp_path / "other.html"
    page.write_text("older")
    page.chmod(0o640)
    os.link(page, other)
    explore(db, page)
    assert mode(page) == 0o640
    assert page.read_bytes().startswith(b"<!")
    assert other.read_text() == "older"


def test_a_new_page_has_the_mode_that_the_user_gives_new_files(db: Path, tmp_path: Path) -> None:
    command = f"umask 027; {ESPROBE} --db {db} explore --out {tmp_path / 'page.html'}"
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert mode(tmp_path / "page.html") == 0o640


def test_a_page_goes_where_the_users_own_link_points_and_to_a_pipe(db: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "page.html").symlink_to(tmp_path / "there/real.html")
    explore(db, tmp_path / "page.html")
    assert (tmp_path / "page.html").is_symlink()
    assert (tmp_path / "there/real.html").read_bytes().startswith(b"<!")
    piped = subprocess.run([ESPROBE, "--db", db, "explore", "--out", "/dev/stdout"], capture_output=True)
    assert piped.stdout.startswith((tmp_path / "there/real.html").read_bytes())


def test_a_link_that_leads_back_to_itself_is_one_clear_line(esprobe: Run, db: Path, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for words in (
        ["--db", db, "explore", "--out", "a"],
        ["--db", db, "report", "--plots", "a"],
        ["--db", "a", "report"],
        ["--db", "a", "import", "none.jsonl"],
        ["--db", "a/r.db", "report"],
        ["--db", db, "merge", "a"],
        ["--db", db, "import", "a"],
        ["sample-temp", "--data", "a"],
        ["sample-temp", "--preset", "a/p.toml"],
    ):
        assert "unexpected" not in one_line_error(esprobe(*words), 1), words
    assert (tmp_path / "a").is_symlink()


def test_plots_replace_links_of_their_names_and_write_through_none(db: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plots"
    made = [Path(line) for line in save_plots(db, None, folder) if not line.startswith("skipped")]
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for path in made:
        path.unlink()
        path.symlink_to(precious)
    save_plots(db, None, folder)
    assert precious.read_text() == "precious"
    assert len(made) > 4
    assert not any(path.is_symlink() for path in made)


def test_a_file_that_cannot_be_written_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for follow in (True, False):
        with pytest.raises(OSError, match="folder"):
            write_whole(tmp_path / "folder", b"x", follow)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.fixture
def as_a_user() -> Iterator[Path]:
    """A folder of a user who is not root, who might write anything; root becomes one for a while."""
    with tempfile.TemporaryDirectory() as folder:
        me = os.geteuid()
        if me == 0:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(me)


def test_a_file_that_is_write_protected_is_not_replaced(as_a_user: Path) -> None:
    page = as_a_user / "page.html"
    page.write_text("mine")
    page.chmod(0o444)
    with pytest.raises(PermissionError):
        write_whole(page, b"x")
    assert page.read_text() == "mine"


def test_what_belongs_to_a_database_is_recognised_by_what_it_holds(esprobe: Run, db: Path, tmp_path: Path) -> None:
    connection = open_database(db)
    connection.execute("SELECT count(*) FROM rollout").fetchone()
    for name, start in {"log": b"\x37\x7f\x06\x82", "journal": b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"}.items():
        (tmp_path / name).write_bytes(start + bytes(100))
        says = one_line_error(esprobe("--db", db, "explore", "--out", name), 1)
        assert "is a database or belongs to one" in says
