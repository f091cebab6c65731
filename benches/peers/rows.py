"""The rows of the suite that Python peers run: inputs, compulsory traffic, tolerance and engines of each.

`INPUTS` describes the files; `ROWS` maps a row's name to what it reads, what it returns and who runs it. Sizes
follow from one number `n` (8192 by default, so that an f32 band is 256 MiB).
"""

from dataclasses import dataclass, replace
from typing import Callable

import numpy as np

DAYS, YEAR = 3650, 365
SCENES, TIMES, LABELS = 40, 12, 256
KEEP = (4, 5, 6, 7, 11)  # clear classes of a Sentinel-2 scene classification


def plane(n):
    return (n, n)


def grid(n):
    """Latitudes and longitudes of the climatology: (721, 144) at n = 8192."""
    return max(1, 721 * n // 8192), max(1, 144 * n // 8192)


# file stem -> (dtype, shape of n)
INPUTS = {
    "a": ("float32", plane),
    "b": ("float32", plane),
    "x": ("float32", plane),
    "x_nan": ("float32", plane),
    "red_u16": ("uint16", plane),
    "nir_u16": ("uint16", plane),
    "red": ("float32", plane),
    "nir": ("float32", plane),
    "blue": ("float32", plane),
    "price": ("float32", plane),
    "strike": ("float32", plane),
    "time": ("float32", plane),
    "labels": ("int32", plane),
    "stack_nan": ("float32", lambda n: (TIMES, n // 2, n // 2)),
    "stack_u16": ("uint16", lambda n: (SCENES, n // 4, n // 4)),
    "classes": ("uint8", lambda n: (SCENES, n // 4, n // 4)),
    "climate": ("float32", lambda n: (DAYS, *grid(n))),
    "day": ("int32", lambda n: (DAYS,)),
}


def band(n):
    return 4 * n * n


@dataclass(frozen=True)
class Row:
    """One row. `inputs` are file stems in the order the engines take them (after `prepare`)."""

    inputs: tuple
    engines: tuple
    traffic: Callable | None = None  # n -> bytes that must move; None where the row is not bound by memory
    dtype: str = "float32"  # of the expected file
    shape: Callable | None = None  # n -> shape of a result that can be written into; None for small results
    prepare: Callable | None = None  # loaded arrays -> arrays the engines take; not timed
    compare: str = "close"  # "close", "norm" (relative l2 distance) or "order" (an argsort: ties in any order)
    rtol: float = 1e-5
    atol: float = 0.0
    approximate: tuple = ()  # ((engine, rtol), ...): engines that promise less than the row asks for
    device_engines: tuple = ()  # those that run it on a GPU


def corners(a, b):
    h = a.shape[0] // 2
    return np.ascontiguousarray(a[:h, :h]), np.ascontiguousarray(b[:h, :h])


def complex_corner(a, b):
    real, imag = corners(a, b)
    z = np.empty(real.shape, np.result_type(real, np.complex64))
    z.real, z.imag = real, imag
    return (z,)


def flat(x):
    return (x.ravel(),)


def half(n):
    return (n // 2, n // 2)


FIVE = ("numpy", "numexpr", "numba", "jax", "dask")
EO = (*FIVE, "eo_processor")
REDUCE = ("numpy", "bottleneck", "numba", "jax", "dask")

ROWS = {
    "triad": Row(("a", "b"), FIVE, lambda n: 3 * band(n), shape=plane),
    "ndvi_u16": Row(("red_u16", "nir_u16"), EO, lambda n: 2 * band(n), shape=plane),
    "evi": Row(("red", "nir", "blue"), EO, lambda n: 4 * band(n), shape=plane),
    "black_scholes": Row(("price", "strike", "time"), FIVE, lambda n: 4 * band(n), shape=plane, rtol=1e-4, atol=1e-4),
    "poly30": Row(("x",), FIVE, lambda n: 2 * band(n), shape=plane),
    "sum_hypot": Row(("a", "b"), FIVE, lambda n: 2 * band(n), "float64"),
    "stats_all": Row(("x",), ("numpy", "numba", "jax", "dask"), band, "float64"),
    "standardize": Row(
        ("x",), ("numpy", "numba", "jax", "dask"), lambda n: 3 * band(n), shape=plane, rtol=1e-4, atol=1e-4,
    ),
    "reduce_axis0": Row(("x",), REDUCE, band, rtol=1e-4),
    "reduce_axis1": Row(("x",), REDUCE, band, rtol=1e-4),
    "reduce_nan": Row(("x_nan",), REDUCE, band, rtol=1e-4),
    "noise": Row(("x",), ("numpy", "jax", "dask"), band, "float64", rtol=1e-2),
    "median_time": Row(("stack_nan",), REDUCE, lambda n: 13 * band(n) // 4, shape=half),
    "composite": Row(
        ("stack_u16", "classes"), ("numpy", "numba", "dask", "eo_processor"), shape=lambda n: (n // 4, n // 4),
    ),
    "zonal": Row(("x", "labels"), ("numpy", "numba", "flox"), lambda n: 2 * band(n), "float64"),
    "climatology": Row(
        ("climate", "day"), ("numpy", "flox", "dask"), shape=lambda n: (DAYS, *grid(n)), rtol=1e-4, atol=1e-5,
    ),
    "transpose_add": Row(("x",), ("numpy", "numba", "jax", "dask"), lambda n: 2 * band(n), "float64"),
    "gauss5": Row(("x",), ("scipy", "numba", "dask"), lambda n: 2 * band(n), shape=plane),
    "sobel": Row(("x",), ("scipy", "numba", "dask"), lambda n: 2 * band(n), shape=plane, atol=1e-5),
    "histogram": Row(("x",), ("numpy", "numba", "dask"), band, "int64", rtol=0.0),
    "quantile": Row(("x",), ("numpy", "dask"), band, "float64", approximate=(("dask", 2e-2),)),
    "matmul": Row(("a", "b"), ("numpy", "jax"), prepare=corners, shape=half, rtol=1e-4),
    "sort": Row(("x",), ("numpy",), prepare=flat, shape=lambda n: (n * n,), rtol=0.0),
    "argsort": Row(("x",), ("numpy",), None, "int64", prepare=flat, compare="order"),
    "fft2": Row(
        ("a", "b"), ("numpy", "scipy", "jax"), None, "complex64", shape=half, prepare=complex_corner, compare="norm",
    ),
}

ON_GPU = (
    "triad", "ndvi_u16", "evi", "black_scholes", "poly30", "sum_hypot", "stats_all", "standardize", "reduce_axis0",
    "reduce_axis1", "reduce_nan", "transpose_add", "matmul",
)
ROWS |= {name: replace(ROWS[name], device_engines=("cupy", "jax", "torch")) for name in ON_GPU}

# Larger than memory: read from and written to Zarr v3 under a memory limit (files.py).
FILE_ROWS = {
    "stream_ndvi": ("red_u16.zarr", "nir_u16.zarr"),
    "rechunk": ("rechunk.zarr",),
    "anomaly": ("anomaly.zarr",),
}
