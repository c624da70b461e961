"""A wheel built from the checkout works in an empty environment elsewhere: everything it needs ships inside."""

import json
import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from esprobe.bundled import MODELS
from esprobe.bundled.trained import TRAINED
from esprobe.report.explore.page import SCRIPTS
from tests.conftest import HANGS_S

ROOT = Path(__file__).parents[2]


def test_a_wheel_installed_elsewhere_samples_and_reports(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    built = subprocess.run(build, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 3_000_000
    names = zipfile.ZipFile(wheel).namelist()
    assert all(name.startswith(("esprobe/", "esprobe-")) for name in names)
    assert {"esprobe/migrations/views.sql", "esprobe/cli/presets/paper.toml", "esprobe/tasks/countdown/problems.jsonl"} <= set(
        names
    )
    assert {f"esprobe/bundled/{model}/model.safetensors" for model in MODELS} <= set(names)
    assert f"esprobe/bundled/{TRAINED}.json" in names
    assert "esprobe/py.typed" in names  # else type checkers take esprobe for untyped
    assert {f"esprobe/report/explore/{name}" for name in ("page.html.j2", "page.css", *SCRIPTS)} <= set(names)

    place = tmp_path / "elsewhere"
    venv.create(place, with_pip=False)
    (packages,) = place.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:  # a pure wheel is installed by unpacking it
        archive.extractall(packages)
    # the dependencies of this environment, after the new one's own packages; path files in them are not followed
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))

    def run(*args: str) -> str:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ESPROBE_", "PYTHON"))}
        command = [str(place / "bin/python"), "-m", "esprobe", *args]
        done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=HANGS_S)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("sample-temp", "-T", "0.5", "-n", "1", "--limit", "3").startswith("6 of 6")
    assert {r["method"] for r in json.loads(run("report", "--format", "json"))} == {"greedy", "temperature"}
    assert "2 arms, 3 problems and 6 of 6 rollouts" in run("explore")
    where = subprocess.run(
        [str(place / "bin/python"), "-c", "import esprobe; print(esprobe.__file__)"], cwd=place, capture_output=True, text=True
    )
    assert where.stdout.startswith(str(place))
