"""Ray that esprobe starts: each engine has a core or GPU of its own unless more are asked for, and nobody else is let in."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from esprobe.errors import UserError
from tests.conftest import HANGS_S, Run
from tests.helpers.pieces import SPEC

pytestmark = pytest.mark.usefixtures("ray")


def test_more_engines_than_cores_are_refused_unless_asked_for(esprobe: Run, tmp_path: Path) -> None:
    args = ["sample-temp", "-n", "1", "--limit", "2", "--max-new-tokens", "2", "--engines", "100"]
    refused = esprobe(*args, env={"ESPROBE_OVERSUBSCRIBE": ""})
    assert refused.returncode == 1
    assert re.fullmatch(
        r"error: 100 engines need a [CG]PU each, and there are \d+; lower --engines, or set ESPROBE_OVERSUBSCRIBE=1 .*",
        refused.stderr.splitlines()[-1],
    )
    assert not (tmp_path / "esprobe.db").exists()
    assert esprobe(*args[:-1], "3", env={"ESPROBE_OVERSUBSCRIBE": "1"}).returncode == 0


def test_an_engine_that_spans_several_gpus_is_refused_where_it_cannot_be(esprobe: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from esprobe.engines.ray_cluster import OVERSUBSCRIBE, share

    args = ["sample-temp", "-n", "1", "--limit", "2", "--max-new-tokens", "2", "--tensor-parallel", "2"]
    one = esprobe(*args, "--backend", "transformers")
    assert one.returncode == 1
    assert one.stderr.splitlines()[-1].startswith(
        "error: --tensor-parallel 2 needs --backend vllm: the transformers backend runs on one GPU"
    )
    monkeypatch.setenv(OVERSUBSCRIBE, "1")
    assert share(3, 2, cpus=64, gpus=6) == (1, 2)
    assert share(12, 1, cpus=64, gpus=6) == (1, 0.5)
    assert (share(1, 2, cpus=2, gpus=0), share(4, 2, cpus=2, gpus=0)) == ((2, 0), (0.5, 0))
    with pytest.raises(UserError, match=r"4 engines need 2 GPUs each, and there are 6; lower --engines or --tensor-parallel$"):
        share(4, 2, cpus=64, gpus=6)
    monkeypatch.setenv(OVERSUBSCRIBE, "0")
    with pytest.raises(UserError, match=r"2 engines need 2 CPUs each, and there are 2; .*, or set ESPROBE_OVERSUBSCRIBE=1"):
        share(2, 2, cpus=2, gpus=0)


INTRUDER = """
import os, sys
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "of-another-user"}
import ray
ray.init(address=sys.argv[1], log_to_driver=False)
"""


def test_our_own_cluster_lets_in_nobody_without_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    from esprobe.engines.ray_pool import RayPool

    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    pool, said = RayPool(1, None, None), []
    try:
        pool.open(SPEC, said.append, 1)
        address = pool.cluster.ray.get_runtime_context().gcs_address
        refused = subprocess.run([sys.executable, "-c", INTRUDER, address], capture_output=True, text=True, timeout=HANGS_S)
    finally:
        pool.close()
    assert refused.returncode != 0
    assert "InvalidAuthToken" in refused.stderr or "uthenticat" in refused.stderr
    assert "it admits only clients with this sweep's token" in said[0]
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(UserError, match="RAY_AUTH_MODE is 'disabled'"):
        RayPool(2, None, None)
