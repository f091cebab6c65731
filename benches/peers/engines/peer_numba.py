"""Numba: each row as one fused loop nest, `parallel=True`, no fast-math.

Constants are f32 variables because Numba promotes f32 with a Python number to f64. Functions of `INTO` take the
result as their last argument; mode "fresh" allocates it first. Sums accumulate in f64.
"""

from math import exp, inf, isnan, log, nan, sqrt

import formulas
import numpy as np
from numba import get_num_threads, njit, prange, set_num_threads
from rows import KEEP, LABELS

f32 = np.float32
ONE, TWO, SIX = f32(1), f32(2), f32(6)
TWO_HALF, SEVEN_HALF = f32(2.5), f32(7.5)
RATE, SIGMA = f32(formulas.RATE), f32(formulas.SIGMA)
DRIFT = f32(formulas.RATE + formulas.SIGMA**2 / 2)
CDF1, CDF3 = f32(1.5976), f32(0.07056)
COEFFICIENTS = np.array(formulas.COEFFICIENTS, f32)
W0, W1, W2 = f32(1 / 16), f32(4 / 16), f32(6 / 16)
CLEAR = np.isin(np.arange(256), KEEP)

parallel = njit(parallel=True)


@parallel
def triad(a, b, out):
    for i in prange(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = a[i, j] + TWO_HALF * b[i, j]


@parallel
def ndvi_u16(red, nir, out):
    for i in prange(red.shape[0]):
        for j in range(red.shape[1]):
            r, n = f32(red[i, j]), f32(nir[i, j])
            out[i, j] = (n - r) / (n + r)


@parallel
def evi(red, nir, blue, out):
    for i in prange(red.shape[0]):
        for j in range(red.shape[1]):
            r, n, b = red[i, j], nir[i, j], blue[i, j]
            out[i, j] = TWO_HALF * (n - r) / (n + SIX * r - SEVEN_HALF * b + ONE)


@njit
def cdf(x):
    return ONE / (ONE + exp(-CDF1 * x - CDF3 * x * x * x))


@parallel
def black_scholes(price, strike, time, out):
    for i in prange(price.shape[0]):
        for j in range(price.shape[1]):
            s, k, t = price[i, j], strike[i, j], time[i, j]
            spread = SIGMA * sqrt(t)
            d1 = (log(s / k) + DRIFT * t) / spread
            out[i, j] = s * cdf(d1) - k * exp(-RATE * t) * cdf(d1 - spread)


@parallel
def poly30(x, out):
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            v = x[i, j]
            acc = COEFFICIENTS[29]
            for k in range(28, -1, -1):
                acc = acc * v + COEFFICIENTS[k]
            out[i, j] = acc


@njit
def add_moments(total, square, line):  # a function of its own, so that the loop over whole lines vectorizes
    for j in range(line.size):
        v = np.float64(line[j])
        total[j] += v
        square[j] += v * v


@parallel
def standardize(x, out):
    tasks, (rows, cols) = get_num_threads(), x.shape
    total, square = np.zeros((tasks, cols)), np.zeros((tasks, cols))
    for task in prange(tasks):
        for i in range(rows * task // tasks, rows * (task + 1) // tasks):
            add_moments(total[task], square[task], x[i])
    mean64 = total.sum(axis=0) / rows
    mean, std = mean64.astype(f32), np.sqrt(square.sum(axis=0) / rows - mean64 * mean64).astype(f32)
    for i in prange(rows):
        for j in range(cols):
            out[i, j] = (x[i, j] - mean[j]) / std[j]


@njit
def median_of(buffer, count):
    """Median of the first `count` values; sorts them by insertion."""
    if count == 0:
        return f32(nan)
    for i in range(1, count):
        v, j = buffer[i], i
        while j > 0 and buffer[j - 1] > v:
            buffer[j] = buffer[j - 1]
            j -= 1
        buffer[j] = v
    middle = count // 2
    return buffer[middle] if count % 2 else (buffer[middle - 1] + buffer[middle]) / TWO


@parallel
def median_time(stack, out):
    times, rows, cols = stack.shape
    for i in prange(rows):
        buffer = np.empty(times, f32)
        for j in range(cols):
            count = 0
            for t in range(times):
                v = stack[t, i, j]
                if not isnan(v):
                    buffer[count] = v
                    count += 1
            out[i, j] = median_of(buffer, count)


@parallel
def composite(stack, classes, out):
    times, rows, cols = stack.shape
    for i in prange(rows):
        buffer = np.empty(times, f32)
        for j in range(cols):
            count = 0
            for t in range(times):
                if CLEAR[classes[t, i, j]]:
                    buffer[count] = stack[t, i, j]
                    count += 1
            out[i, j] = median_of(buffer, count)


@parallel
def gauss5(x, out):
    rows, cols = x.shape
    for i in prange(rows):
        a, b = max(i - 2, 0), max(i - 1, 0)
        d, e = min(i + 1, rows - 1), min(i + 2, rows - 1)
        line = np.empty(cols + 4, f32)  # the filtered column sums of this row, edges repeated
        for j in range(cols):
            line[j + 2] = W0 * (x[a, j] + x[e, j]) + W1 * (x[b, j] + x[d, j]) + W2 * x[i, j]
        line[0] = line[1] = line[2]
        line[cols + 3] = line[cols + 2] = line[cols + 1]
        for j in range(cols):
            out[i, j] = W0 * (line[j] + line[j + 4]) + W1 * (line[j + 1] + line[j + 3]) + W2 * line[j + 2]


@parallel
def sobel(x, out):
    rows, cols = x.shape
    for i in prange(rows):
        up, down = x[max(i - 1, 0)], x[min(i + 1, rows - 1)]
        step, smooth = np.empty(cols + 2, f32), np.empty(cols + 2, f32)
        for j in range(cols):
            step[j + 1] = down[j] - up[j]
            smooth[j + 1] = up[j] + TWO * x[i, j] + down[j]
        step[0], step[cols + 1] = step[1], step[cols]
        smooth[0], smooth[cols + 1] = smooth[1], smooth[cols]
        for j in range(cols):
            gy = step[j] + TWO * step[j + 1] + step[j + 2]
            gx = smooth[j + 2] - smooth[j]
            out[i, j] = sqrt(gx * gx + gy * gy)


@parallel
def sum_hypot(a, b):
    total = 0.0
    for i in prange(a.shape[0]):
        row = 0.0
        for j in range(a.shape[1]):
            row += sqrt(a[i, j] * a[i, j] + b[i, j] * b[i, j])
        total += row
    return total


@parallel
def stats_all(x):
    total, square, low, high = 0.0, 0.0, f32(inf), f32(-inf)
    for i in prange(x.shape[0]):
        s, q, lo, hi = 0.0, 0.0, f32(inf), f32(-inf)
        for j in range(x.shape[1]):
            v = x[i, j]
            s += v
            q += np.float64(v) * v
            lo, hi = min(lo, v), max(hi, v)
        total += s
        square += q
        low, high = min(low, lo), max(high, hi)
    mean = total / x.size
    return mean, sqrt(square / x.size - mean * mean), low, high


@njit
def add(total, line):
    for j in range(line.size):
        total[j] += line[j]


@parallel
def reduce_axis0(x):
    tasks, (rows, cols) = get_num_threads(), x.shape
    total = np.zeros((tasks, cols))
    for task in prange(tasks):
        for i in range(rows * task // tasks, rows * (task + 1) // tasks):
            add(total[task], x[i])
    return total.sum(axis=0).astype(f32)


@parallel
def reduce_axis1(x):
    out = np.empty(x.shape[0], f32)
    for i in prange(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            total += x[i, j]
        out[i] = total
    return out


@njit
def add_valid(total, count, line):
    s, n = 0.0, 0
    for j in range(line.size):
        v = line[j]
        valid = not isnan(v)
        kept = np.float64(v) if valid else 0.0
        total[j] += kept
        count[j] += valid
        s += kept
        n += valid
    return s / n if n else nan


@parallel
def reduce_nan(x):
    tasks, (rows, cols) = get_num_threads(), x.shape
    total, count = np.zeros((tasks, cols)), np.zeros((tasks, cols), np.int32)
    across = np.empty(rows, f32)
    for task in prange(tasks):
        for i in range(rows * task // tasks, rows * (task + 1) // tasks):
            across[i] = add_valid(total[task], count[task], x[i])
    down = total.sum(axis=0) / count.sum(axis=0)
    return down.astype(f32), across


@parallel
def transpose_add(x):
    n, side = x.shape[0], 64
    tiles = (n + side - 1) // side
    total = 0.0
    for tile in prange(tiles * tiles):
        i0, j0 = tile // tiles * side, tile % tiles * side
        part = 0.0
        for i in range(i0, min(n, i0 + side)):
            for j in range(j0, min(n, j0 + side)):
                part += x[i, j] + x[j, i]
        total += part
    return total / x.size


@parallel
def zonal(x, labels):
    tasks, rows = get_num_threads(), x.shape[0]
    count, total, square = np.zeros((tasks, LABELS)), np.zeros((tasks, LABELS)), np.zeros((tasks, LABELS))
    low, high = np.full((tasks, LABELS), f32(inf)), np.full((tasks, LABELS), f32(-inf))
    for task in prange(tasks):
        for i in range(rows * task // tasks, rows * (task + 1) // tasks):
            for j in range(x.shape[1]):
                k, v = labels[i, j], x[i, j]
                count[task, k] += 1
                total[task, k] += v
                square[task, k] += np.float64(v) * v
                low[task, k] = min(low[task, k], v)
                high[task, k] = max(high[task, k], v)
    for task in range(1, tasks):
        count[0] += count[task]
        total[0] += total[task]
        square[0] += square[task]
        low[0] = np.minimum(low[0], low[task])
        high[0] = np.maximum(high[0], high[task])
    mean = total[0] / count[0]
    return mean, np.sqrt(square[0] / count[0] - mean * mean), low[0], high[0]


@parallel
def histogram(x):
    tasks, rows = get_num_threads(), x.shape[0]
    counts = np.zeros((tasks, 256), np.int64)
    for task in prange(tasks):
        for i in range(rows * task // tasks, rows * (task + 1) // tasks):
            for j in range(x.shape[1]):
                v = x[i, j]
                if v >= 0 and v <= 1:
                    counts[task, min(np.int64(v * f32(256)), 255)] += 1
    return counts.sum(axis=0)


INTO = {
    f.__name__: f
    for f in (triad, ndvi_u16, evi, black_scholes, poly30, standardize, median_time, composite, gauss5, sobel)
}
FRESH = {
    f.__name__: f
    for f in (sum_hypot, stats_all, reduce_axis0, reduce_axis1, reduce_nan, transpose_add, zonal, histogram)
}


def variants(row, inputs, out, threads):
    set_num_threads(threads)
    if row in FRESH:
        yield "fresh", lambda: FRESH[row](*inputs)
    if row in INTO:
        preallocated = out()

        def call(result):
            INTO[row](*inputs, result)
            return result

        yield "fresh", lambda: call(np.empty(preallocated.shape, preallocated.dtype))
        yield "into", lambda: call(preallocated)
