"""CuPy: the shared formulas; elementwise ones fused into one kernel by `cupy.fuse`."""

import cupy as cp
import formulas

ROWS = dict(formulas.SHARED) | {"matmul": lambda xp, a, b: xp.matmul(a, b)}


def on_gpu():
    return cp.cuda.runtime.getDeviceCount() > 0


def host(result):
    return tuple(cp.asnumpy(r) for r in result) if isinstance(result, tuple) else cp.asnumpy(result)


def variants(row, inputs, out, threads):
    formula = ROWS[row]
    f = lambda *arrays: formula(cp, *arrays)
    if row in formulas.ELEMENTWISE:
        f = cp.fuse(f)
    there = [cp.asarray(a) for a in inputs]

    def kept():
        result = f(*there)
        cp.cuda.Device().synchronize()
        return result

    if row in formulas.PLANES:
        yield "kept", kept
    yield "resident", lambda: host(f(*there))
