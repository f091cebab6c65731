"""PyTorch: the shared formulas under `torch.compile`, in PyTorch's words where those differ."""

import formulas
import numpy as np
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def ndvi_u16(xp, red, nir):
    red, nir = red.to(xp.float32), nir.to(xp.float32)
    return (nir - red) / (nir + red)


def stats_all(xp, x):
    return x.mean(), x.std(correction=0), x.min(), x.max()


def standardize(xp, x):
    return (x - x.mean(0)) / x.std(0, correction=0)


def reduce_nan(xp, x):
    return xp.nanmean(x, dim=0), xp.nanmean(x, dim=1)


ROWS = dict(formulas.SHARED) | {
    "ndvi_u16": ndvi_u16,
    "stats_all": stats_all,
    "standardize": standardize,
    "reduce_nan": reduce_nan,
    "matmul": lambda xp, a, b: xp.matmul(a, b),
}


def on_gpu():
    return DEVICE == "cuda"


def host(result):
    return tuple(r.cpu().numpy() for r in result) if isinstance(result, tuple) else result.cpu().numpy()


def put(array):
    # values of the rows' u16 fit i16, of which PyTorch has all operations
    array = array.view(np.int16) if array.dtype == np.uint16 else array
    return torch.from_numpy(np.ascontiguousarray(array)).to(DEVICE)


def variants(row, inputs, out, threads):
    torch.set_num_threads(threads)
    formula = ROWS[row]
    f = torch.compile(lambda *arrays: formula(torch, *arrays))
    there = [put(a) for a in inputs]

    def kept():
        result = f(*there)
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return result

    if row in formulas.PLANES:
        yield "kept", kept
    yield "resident", lambda: host(f(*there))
