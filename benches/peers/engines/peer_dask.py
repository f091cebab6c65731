"""Dask arrays on the threaded scheduler, in 16 MiB chunks unless the row wants others.

Wrapping the data (`from_array`) is not timed; building the graph, optimizing and running it are.
"""

from functools import partial

import dask
import dask.array as da
import formulas
import numpy as np
from rows import ROWS, YEAR

from engines import peer_numpy

dask.config.set({"array.chunk-size": "16MiB"})


def composite(stack, classes):
    return da.map_blocks(peer_numpy.composite, stack, classes, dtype="float32", drop_axis=0)


def climatology(x, day):
    from flox import groupby_reduce

    last = da.moveaxis(x, 0, -1)
    mean = groupby_reduce(last, np.asarray(day), func="mean", expected_groups=np.arange(YEAR))[0]
    return x - da.moveaxis(mean, -1, 0)[np.asarray(day)]


def noise(x):
    noisy = x + 0.1 * da.random.default_rng(1).standard_normal(x.shape, chunks=x.chunks, dtype="float32")
    return noisy.mean(), noisy.std()


def overlap(name, depth, x):
    from engines import peer_scipy

    return x.map_overlap(peer_scipy.IMAGE[name], depth=depth, boundary="nearest", dtype=x.dtype)


FRESH = {name: partial(f, da) for name, f in formulas.SHARED.items()} | {
    "composite": composite,
    "climatology": climatology,
    "noise": noise,
    "gauss5": partial(overlap, "gauss5", 2),
    "sobel": partial(overlap, "sobel", 1),
    "histogram": lambda x: da.histogram(x, bins=256, range=(0.0, 1.0))[0],
    "quantile": lambda x: da.percentile(x.ravel(), [1, 50, 99]),  # merges per-chunk percentiles: approximate
}
WHOLE_TIME = {"median_time", "composite", "climatology"}  # every chunk holds the whole time axis
INTO = {*formulas.ELEMENTWISE, "standardize", "gauss5", "sobel"}


def wrap(row, array):
    if row in WHOLE_TIME:
        if array.ndim == 1:
            return array
        return da.from_array(array, chunks=(-1, *["auto"] * (array.ndim - 1)))
    return da.from_array(array, chunks="auto")


def variants(row, inputs, out, threads):
    if row not in FRESH:
        return
    run = {"scheduler": "threads", "num_workers": threads}
    lazy = [wrap(row, a) for a in inputs]
    if row == "composite":
        lazy[1] = lazy[1].rechunk(lazy[0].chunks)

    def fresh():
        result = FRESH[row](*lazy)
        return dask.compute(*result, **run) if isinstance(result, tuple) else result.compute(**run)

    yield "fresh", fresh
    if row in INTO and ROWS[row].shape:
        preallocated = out()

        def into():
            da.store(FRESH[row](*lazy), preallocated, lock=False, **run)
            return preallocated

        yield "into", into
