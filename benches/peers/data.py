"""Inputs and expected results, made by NumPy from a fixed seed: the suite without its Rust side.

Every file has its own random stream (seed and file name), so it does not matter which rows are made.
"""

from zlib import crc32

import numpy as np
from rows import DAYS, FILE_ROWS, INPUTS, LABELS, ROWS, YEAR, grid

SEED = 20240229


def stream(name):
    return np.random.default_rng([SEED, crc32(name.encode())])


def uniform(low, high):
    return lambda rng, shape: rng.random(shape, np.float32) * np.float32(high - low) + np.float32(low)


def integers(low, high, dtype):
    return lambda rng, shape: rng.integers(low, high, shape, dtype)


def with_nan(rng, shape):
    x = rng.random(shape, np.float32)
    x[rng.random(shape, np.float32) < 0.1] = np.nan
    return x


def classes(rng, shape):
    """Scene classes 0..11; the first line of every scene is cloud, so that some pixels have nothing to show."""
    c = rng.integers(0, 12, shape, np.uint8)
    c[:, 0, :] = 9
    return c


MAKERS = {
    "a": uniform(0, 1),
    "b": uniform(0, 1),
    "x": uniform(0, 1),
    "x_nan": with_nan,
    "red_u16": integers(1, 10000, np.uint16),
    "nir_u16": integers(1, 10000, np.uint16),
    "red": uniform(0.02, 0.3),
    "nir": uniform(0.2, 0.6),
    "blue": uniform(0.01, 0.15),
    "price": uniform(10, 50),
    "strike": uniform(10, 50),
    "time": uniform(0.25, 2),
    "labels": integers(0, LABELS, np.int32),
    "stack_nan": with_nan,
    "stack_u16": integers(1, 10000, np.uint16),
    "classes": classes,
    "climate": uniform(0, 1),
    "day": lambda rng, shape: (np.arange(DAYS) % YEAR).astype(np.int32),
}


def widen(array):
    """f64 for f32: the expected result is better than any engine's."""
    return array.astype(np.float64) if array.dtype == np.float32 else array


def expected(row, arrays):
    """The row's result by NumPy in f64 (SciPy where NumPy has no filter), in the expected file's dtype."""
    spec = ROWS[row]
    if spec.dtype != "int64" and row != "sort":
        arrays = [widen(a) for a in arrays]
    arrays = spec.prepare(*arrays) if spec.prepare else arrays
    if row in ("gauss5", "sobel"):
        from engines.peer_scipy import IMAGE as table
    else:
        from engines.peer_numpy import FRESH as table
    return flatten(table[row](*arrays)).astype(spec.dtype)


def flatten(result):
    """A result as one array: several arrays or scalars become one vector, in order."""
    if isinstance(result, (tuple, list)):
        return np.concatenate([np.atleast_1d(np.asarray(r, np.float64)).ravel() for r in result])
    return np.atleast_1d(np.asarray(result))


def make(row, n, folder):
    arrays = []
    for name in ROWS[row].inputs:
        dtype, shape = INPUTS[name]
        array = MAKERS[name](stream(name), shape(n))
        assert array.dtype == dtype
        np.save(folder / f"{name}.npy", array)
        arrays.append(array)
    np.save(folder / f"{row}.expected.npy", expected(row, arrays))


def make_file(row, n, folder):
    """Zarr inputs of a larger-than-memory row, written piece by piece, and its expected samples."""
    from files import sample_points

    if row == "stream_ndvi":
        side = 4 * n
        red, nir = (zarr_noise(folder / name, (side, side), (n // 2, n // 2), np.uint16) for name in FILE_ROWS[row])
        i, j = sample_points((side, side))
        r, v = (a.vindex[i, j].astype(np.float64) for a in (red, nir))
        result = (v - r) / (v + r)
    elif row == "rechunk":
        side = 40000 * n // 8192
        x = zarr_noise(folder / FILE_ROWS[row][0], (side, side), (max(1, side // 160), side), np.float32)
        result = x.vindex[sample_points((side, side))]
    else:
        times, (lat, lon) = max(40, DAYS * n // 8192), grid(n)
        shape = (times, lat, 4 * lon)
        x = zarr_noise(folder / FILE_ROWS[row][0], shape, (max(1, times // 40), lat, 4 * lon), np.float32)
        means = np.concatenate([b.mean(axis=(1, 2), dtype=np.float64) for b in strips(x)])
        result = means - means.mean()  # the mean over space of x - x.mean(time)
    np.save(folder / f"{row}.expected.npy", result.astype(np.float32))


def strips(array):
    step = array.chunks[0]
    return (array[i : i + step] for i in range(0, array.shape[0], step))


def zarr_noise(path, shape, chunks, dtype):
    import zarr

    out = zarr.create_array(path, shape=shape, chunks=chunks, dtype=dtype, zarr_format=3, overwrite=True)
    rng = stream(path.name)
    for i in range(0, shape[0], chunks[0]):
        part = (min(chunks[0], shape[0] - i), *shape[1:])
        if dtype == np.uint16:
            out[i : i + part[0]] = rng.integers(1, 10000, part, dtype)
        else:
            season = np.sin(np.arange(i, i + part[0], dtype=np.float32) / 10)
            out[i : i + part[0]] = rng.random(part, dtype) + season.reshape(-1, *[1] * (len(part) - 1))
    return out
