"""Rows whose NumPy, JAX and Dask spellings are the same: `xp` is the array module.

Arithmetic stays in f32 when the inputs are f32: Python numbers do not promote.
"""

RATE, SIGMA = 0.02, 0.3
COEFFICIENTS = [1.0 / (k + 1) for k in range(30)]


def triad(xp, a, b):
    return a + 2.5 * b


def ndvi_u16(xp, red, nir):
    red, nir = red.astype("float32"), nir.astype("float32")
    return (nir - red) / (nir + red)


def evi(xp, red, nir, blue):
    return 2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)


def cdf(xp, x):
    """The logistic approximation of the normal distribution function."""
    return 1 / (1 + xp.exp(-1.5976 * x - 0.07056 * x * x * x))


def black_scholes_terms(xp, price, strike, time):
    spread = SIGMA * xp.sqrt(time)
    d1 = (xp.log(price / strike) + (RATE + SIGMA * SIGMA / 2) * time) / spread
    d2 = d1 - spread
    return price * cdf(xp, d1), strike * xp.exp(-RATE * time) * cdf(xp, d2)


def black_scholes(xp, price, strike, time):
    asset, debt = black_scholes_terms(xp, price, strike, time)
    return asset - debt


def poly30(xp, x):
    acc = COEFFICIENTS[29]
    for c in reversed(COEFFICIENTS[:29]):
        acc = acc * x + c
    return acc


def sum_hypot(xp, a, b):
    return xp.sqrt(a * a + b * b).sum()


def stats_all(xp, x):
    return x.mean(), x.std(), x.min(), x.max()


def standardize(xp, x):
    return (x - x.mean(0)) / x.std(0)


def reduce_axis0(xp, x):
    return x.sum(0)


def reduce_axis1(xp, x):
    return x.sum(1)


def reduce_nan(xp, x):
    return xp.nanmean(x, axis=0), xp.nanmean(x, axis=1)


def median_time(xp, stack):
    return xp.nanmedian(stack, axis=0)


def transpose_add(xp, x):
    return (x + x.T).mean()


ELEMENTWISE = {f.__name__: f for f in (triad, ndvi_u16, evi, black_scholes, poly30)}
REDUCTIONS = {
    f.__name__: f
    for f in (
        sum_hypot, stats_all, standardize, reduce_axis0, reduce_axis1, reduce_nan, median_time, transpose_add
    )
}
SHARED = ELEMENTWISE | REDUCTIONS
# rows whose result is an array of the inputs' kind, which may stay where it is computed
PLANES = {*ELEMENTWISE, "standardize", "matmul"}
