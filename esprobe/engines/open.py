"""Which pool a number of engines needs: this process for one, Ray for several. Loads Ray only for those."""

from esprobe.engines.local_pool import LocalPool
from esprobe.engines.pool import Pool


def open_pool(engines: int = 1, ray_address: str | None = None, timeout_s: float | None = None) -> Pool:
    """`engines` engines: one in this process, several through Ray on this machine or on the cluster at `ray_address`.

    `timeout_s`: seconds without an answer after which one of several engines counts as hung; None means a limit learned
    from the work so far. Raises UserError.
    """
    if engines == 1 and ray_address is None:
        return LocalPool()
    from esprobe.engines.ray_pool import RayPool

    return RayPool(engines, ray_address, timeout_s)
