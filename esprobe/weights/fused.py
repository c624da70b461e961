"""`iid` noise on a CPU in one pass, compiled by Numba: many times as fast as the passes of `perturb.py`, with its numbers.

Knows the numbers that `perturb.py` defines and must not define any: the words are the same, the normals are computed in float64
and rounded once, and about one in 10⁷ differs, in its last bit. Import it only where Numba is installed.
"""

# Numba's decorators have no types.
# mypy: disable-error-code="untyped-decorator,no-any-return,no-untyped-call"

from math import tau
from typing import Any

import llvmlite.binding.ffi
import numpy as np
from numba import float64, int64, njit, uint32, uint64
from numpy.typing import NDArray

# llvmlite's library takes any name that it is asked for, `__dict__` too, for a function's. vLLM asks everything that is imported
# for its `__dict__` when an engine starts, and would die of what it gets.
getattr(llvmlite.binding.ffi.lib, "_fntab", {}).setdefault("__dict__", {})

_SQRT2 = 1.4142135623730951
_LN2 = 0.6931471805599453
_ANGLE = tau / 2**34


@njit(inline="always")
def radius(word: Any) -> Any:
    """√(−2 ln((word + 1)/2³²)); the logarithm as fdlibm's `e_log.c` has it, within one unit in the last place."""
    x = float64(word) + 1.0  # 1 … 2³², exact
    bits = np.float64(x).view(np.int64)
    exponent = (bits >> int64(52)) - int64(1023)
    mantissa = np.int64((bits & int64(0xFFFFFFFFFFFFF)) | int64(0x3FF0000000000000)).view(np.float64)
    if mantissa > _SQRT2:
        mantissa *= 0.5
        exponent += int64(1)
    f = mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 1.479819860511658591e-01
    p = p * z + 1.531383769920937332e-01
    p = p * z + 1.818357216161805012e-01
    p = p * z + 2.222219843214978396e-01
    p = p * z + 2.857142874366239149e-01
    p = p * z + 3.999999999940941908e-01
    p = p * z + 6.666666666666735130e-01
    half = 0.5 * f * f
    logarithm = f - (half - s * (half + z * p)) + float64(exponent - int64(32)) * _LN2
    return np.sqrt(-2.0 * logarithm)


@njit(inline="always")
def turn(word: Any) -> Any:
    """The cosine and the sine of 2πv for v = word/2³²; fdlibm's polynomials up to an eighth of a turn, the rest by symmetry."""
    quarter = uint32(word + uint32(0x20000000)) >> uint32(30)
    rest = int64(uint32(word << uint32(2)))  # of a quarter turn, from −½ to ½ as a signed word
    x = float64(rest - (int64(1) << int64(32) if rest >= int64(1) << int64(31) else int64(0))) * _ANGLE
    z = x * x
    p = 1.58969099521155010221e-10
    p = p * z - 2.50507602534068634195e-08
    p = p * z + 2.75573137070700676789e-06
    p = p * z - 1.98412698298579493134e-04
    p = p * z + 8.33333333332248946124e-03
    p = p * z - 1.66666666666666324348e-01
    sine = x + x * z * p
    q = -1.13596475577881948265e-11
    q = q * z + 2.08757232129817482790e-09
    q = q * z - 2.75573143513906633035e-07
    q = q * z + 2.48015872894767294178e-05
    q = q * z - 1.38888888888741095749e-03
    q = q * z + 4.16666666666666019037e-02
    cosine = 1.0 - (0.5 * z - z * z * q)
    odd = (quarter & uint32(1)) != uint32(0)
    a = sine if odd else cosine
    b = cosine if odd else sine
    a = -a if ((quarter + uint32(1)) & uint32(2)) != uint32(0) else a
    b = -b if (quarter & uint32(2)) != uint32(0) else b
    return a, b


@njit(error_model="numpy", cache=True, nogil=True)
def fill(out: NDArray[np.float32], low: int, high: int, first: int) -> None:
    """Writes the normals of the Philox blocks first, first + 1, … under the key (low, high) into `out` (4 · blocks,), float32."""
    for i in range(out.shape[0] // 4):
        block = uint64(first) + uint64(i)
        c0, c1, c2, c3 = uint32(block), uint32(block >> uint64(32)), uint32(0), uint32(0)
        k0, k1 = uint32(low), uint32(high)
        for _ in range(10):
            p0, p1 = uint64(c0) * uint64(0xD2511F53), uint64(c2) * uint64(0xCD9E8D57)
            c0 = uint32(uint32(p1 >> uint64(32)) ^ c1 ^ k0)
            c1 = uint32(p1)
            c2 = uint32(uint32(p0 >> uint64(32)) ^ c3 ^ k1)
            c3 = uint32(p0)
            k0 = uint32(k0 + uint32(0x9E3779B9))
            k1 = uint32(k1 + uint32(0xBB67AE85))
        r0, r2 = radius(c0), radius(c2)
        x0, y0 = turn(c1)
        x2, y2 = turn(c3)
        out[4 * i] = r0 * x0
        out[4 * i + 1] = r0 * y0
        out[4 * i + 2] = r2 * x2
        out[4 * i + 3] = r2 * y2
