"""NumPy, as a careful user writes it."""

from functools import partial

import formulas
import numpy as np
from rows import KEEP, LABELS, YEAR

from engines import from_tables


def clear(stack, classes):
    """The stack as f32, with NaN where a scene does not see the ground."""
    return np.where(np.isin(classes, KEEP), stack.astype(np.float32), np.float32(np.nan))


def composite(stack, classes):
    return np.nanmedian(clear(stack, classes), axis=0)


def zonal(x, labels):
    x, labels = x.ravel(), labels.ravel()
    count = np.bincount(labels, minlength=LABELS)
    mean = np.bincount(labels, x, LABELS) / count
    std = np.sqrt(np.bincount(labels, x * x, LABELS) / count - mean * mean)
    low, high = np.full(LABELS, np.inf, x.dtype), np.full(LABELS, -np.inf, x.dtype)
    np.minimum.at(low, labels, x)
    np.maximum.at(high, labels, x)
    return mean, std, low, high


def climatology(x, day):
    years = x.reshape(-1, YEAR, *x.shape[1:])  # the calendar has no leap days, so whole years stack up
    return (years - years.mean(0)).reshape(x.shape)


def noise(x):
    noisy = np.random.default_rng(1).standard_normal(x.shape, np.float32)
    noisy *= 0.1
    noisy += x
    return noisy.mean(), noisy.std()


def fft2(z):
    return np.fft.fft2(z)


def triad_into(a, b, out):
    np.multiply(b, 2.5, out=out)
    return np.add(a, out, out=out)


def ndvi_u16_into(red, nir, out):
    red, nir = red.astype(np.float32), nir.astype(np.float32)
    np.subtract(nir, red, out=out)
    return np.divide(out, np.add(nir, red, out=nir), out=out)


def evi_into(red, nir, blue, out):
    return np.divide(2.5 * (nir - red), nir + 6 * red - 7.5 * blue + 1, out=out)


def black_scholes_into(price, strike, time, out):
    return np.subtract(*formulas.black_scholes_terms(np, price, strike, time), out=out)


def poly30_into(x, out):
    out.fill(formulas.COEFFICIENTS[29])
    for c in reversed(formulas.COEFFICIENTS[:29]):
        out *= x
        out += c
    return out


def standardize_into(x, out):
    np.subtract(x, x.mean(0), out=out)
    return np.divide(out, x.std(0), out=out)


def sort_into(x, out):
    np.copyto(out, x)
    out.sort()
    return out


FRESH = {name: partial(f, np) for name, f in formulas.SHARED.items()} | {
    "composite": composite,
    "zonal": zonal,
    "climatology": climatology,
    "noise": noise,
    "histogram": lambda x: np.histogram(x, bins=256, range=(0.0, 1.0))[0],
    "quantile": lambda x: np.quantile(x, [0.01, 0.5, 0.99]),
    "matmul": np.matmul,
    "sort": np.sort,
    "argsort": np.argsort,
    "fft2": fft2,
}
INTO = {
    "triad": triad_into,
    "ndvi_u16": ndvi_u16_into,
    "evi": evi_into,
    "black_scholes": black_scholes_into,
    "poly30": poly30_into,
    "standardize": standardize_into,
    "matmul": lambda a, b, out: np.matmul(a, b, out=out),
    "sort": sort_into,
    "fft2": lambda z, out: np.fft.fft2(z, out=out),
}
variants = from_tables(FRESH, INTO)
