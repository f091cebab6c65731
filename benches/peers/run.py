"""Runs one row of the benchmark suite with its Python peers; prints one JSON object a line.

    python run.py --row ROW --threads N --size N --repeat R --data DIR [--engine E ...] [--memory-limit SIZE]
    python run.py --make-data [--row ROW ...] --size N --data DIR
    python run.py --list [--size N]

Lines on stdout: {"row","mode","engine","threads","seconds","gb_per_s","checked"}, more keys as README.md says.
Everything else (engines that are not installed, engines that fail) goes to stderr. The exit status is 2 when the
row or its inputs are missing, else 0.
"""

import argparse
import gc
import importlib
import json
import os
import sys
import time
import warnings
from pathlib import Path

sys.dont_write_bytecode = True


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--row", action="append", default=[], metavar="ROW")
    parser.add_argument("--engine", action="append", nargs="+", default=[], metavar="E")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--size", type=int, default=8192, metavar="N", help="side of a band (default 8192)")
    parser.add_argument("--repeat", type=int, default=5, metavar="R")
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument(
        "--device", choices=("cpu", "gpu", "any"), default="cpu",
        help="gpu: CuPy, JAX and PyTorch with data on the GPU; any: the same wherever they run, to try them",
    )
    parser.add_argument("--memory-limit", default="1GiB", metavar="SIZE", help="of rows larger than memory")
    parser.add_argument("--max-seconds", type=float, default=60.0, help="no repeat starts after this much timing")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for a run larger than memory")
    parser.add_argument("--make-data", action="store_true", help="write inputs and expected results with NumPy")
    parser.add_argument("--list", action="store_true", help="print rows, inputs and engines, one JSON object a line")
    return parser.parse_args()


def limit_threads(n, device):
    """Thread counts that libraries read once, when they are imported."""
    for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "RAYON"):
        os.environ[f"{name}_NUM_THREADS"] = str(n)
    os.environ["NUMEXPR_MAX_THREADS"] = str(n)
    os.environ["NPROC"] = str(n)  # the size of XLA's thread pool
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if n > 1 else 'false'}"
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # others are on the GPU, too


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


def emit(**line):
    print(json.dumps(line), flush=True)


def load(name, n, folder):
    import numpy as np
    from rows import INPUTS

    dtype, shape = INPUTS[name]
    array = np.load(folder / f"{name}.npy")
    if array.dtype != dtype or array.shape != shape(n):
        raise ValueError(f"{name}.npy is {array.dtype} {array.shape}, not {dtype} {shape(n)}")
    return array


def load_expected(row, folder):
    import numpy as np

    path = folder / f"{row}.expected.npy"
    if path.exists():
        return np.load(path, mmap_mode="r")
    say(f"{row}: no {path.name}, results stay unchecked")
    return None


def agrees(result, expected, compare, rtol, atol, inputs):
    """Whether a result is the expected one, piece by piece so that checking needs little memory."""
    import numpy as np
    from data import flatten

    result = flatten(result)
    if compare == "norm" and expected.dtype.kind == "f":  # complex numbers as pairs
        expected = np.asarray(expected).view(np.complex64 if expected.dtype == "float32" else np.complex128)
    if result.size != expected.size:
        return False
    if result.ndim > 1 and result.shape != expected.shape and compare != "norm":
        return False
    result, expected = result.reshape(-1), expected.reshape(-1)
    if compare == "order":
        seen = np.zeros(result.size, bool)
        seen[result] = True
        return bool(seen.all() and np.array_equal(inputs[0][result], inputs[0][expected]))
    step, error, norm = 1 << 22, 0.0, 0.0
    for i in range(0, result.size, step):
        got, want = result[i : i + step], expected[i : i + step]
        if compare == "norm":
            got, want = got.astype(np.complex128), want.astype(np.complex128)
            error, norm = error + np.sum(np.abs(got - want) ** 2), norm + np.sum(np.abs(want) ** 2)
        elif not np.allclose(got.astype(float), want.astype(float), rtol, atol, equal_nan=True):
            return False
    return bool(error <= rtol * rtol * norm)


def best_of(call, repeat, max_seconds):
    """The shortest of `repeat` calls. Dropping a result is not timed."""
    best, spent = float("inf"), 0.0
    for _ in range(repeat):
        start = time.perf_counter()
        result = call()
        seconds = time.perf_counter() - start
        del result
        best, spent = min(best, seconds), spent + seconds
        if spent > max_seconds:
            break
    return best


def run_engine(row, engine, inputs, expected, args):
    import numpy as np
    from rows import ROWS

    spec = ROWS[row]
    kind = "peer" if args.device == "cpu" else "device"
    module = importlib.import_module(f"engines.{kind}_{engine}")
    if args.device == "gpu" and not module.on_gpu():
        raise ImportError("it finds no GPU")
    host = getattr(module, "host", lambda result: result)
    rtol = dict(spec.approximate).get(engine, spec.rtol)

    def out():  # touched, and wrong until it is written
        return np.full(spec.shape(args.size), -12345, spec.dtype)

    for mode, call in module.variants(row, inputs, out, args.threads):
        result = host(call())  # warm-up: compiles, and is the result that is checked
        checked = expected is not None and agrees(result, expected, spec.compare, rtol, spec.atol, inputs)
        del result
        if expected is not None and not checked:
            say(f"{row} {engine} {mode}: differs from the expected result")
        seconds = best_of(call, args.repeat, args.max_seconds)
        extra = {"approximate": True} if engine in dict(spec.approximate) else {}
        emit(
            row=row,
            mode=mode,
            engine=engine,
            threads=args.threads,
            seconds=seconds,
            gb_per_s=spec.traffic(args.size) / seconds / 1e9 if spec.traffic else None,
            checked=checked,
            **extra,
        )


def run_array_row(row, engines, args):
    from rows import ROWS

    spec = ROWS[row]
    inputs = [load(name, args.size, args.data) for name in spec.inputs]
    inputs = spec.prepare(*inputs) if spec.prepare else inputs
    expected = load_expected(row, args.data)
    for engine in spec.engines if args.device == "cpu" else spec.device_engines:
        if engines and engine not in engines:
            continue
        try:
            run_engine(row, engine, inputs, expected, args)
        except ImportError as error:
            say(f"{row} {engine}: skipped, not installed ({error})")
        except Exception as error:
            say(f"{row} {engine}: failed, {type(error).__name__}: {error}")
        gc.collect()


def run_file_row(row, engines, args):
    if engines and "dask" not in engines:
        return
    try:
        import distributed  # noqa: F401
        import files
        import zarr  # noqa: F401
    except ImportError as error:
        say(f"{row} dask: skipped, not installed ({error})")
        return
    line = {"row": row, "mode": "file", "engine": "dask", "threads": args.threads}
    mib = 1024 * 1024
    moved, expected = files.traffic(row, args.data), load_expected(row, args.data)
    best, peak, checked, spent = float("inf"), 0, expected is not None, 0.0
    for _ in range(args.repeat):
        try:
            seconds, result, bytes_ = files.run_dask(row, args.data, args.threads, args.memory_limit, args.timeout)
        except Exception as error:
            text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            say(f"{row} dask: failed, {text}")
            peak = max(peak, getattr(error, "peak_bytes", 0))
            emit(**line, seconds=None, gb_per_s=None, checked=False, peak_rss_mib=peak // mib, error=text)
            return
        best, peak, spent = min(best, seconds), max(peak, bytes_), spent + seconds
        checked = checked and agrees(result, expected, "close", 1e-5, 1e-5, ())
        if spent > args.max_seconds:
            break
    emit(**line, seconds=best, gb_per_s=moved / best / 1e9, checked=checked, peak_rss_mib=peak // mib)


def list_rows(n):
    from rows import FILE_ROWS, INPUTS, ROWS

    for row, spec in ROWS.items():
        inputs = {f"{name}.npy": [INPUTS[name][0], list(INPUTS[name][1](n))] for name in spec.inputs}
        traffic = spec.traffic(n) if spec.traffic else None
        emit(row=row, inputs=inputs, traffic=traffic, expected=spec.dtype, engines=spec.engines)
    for row, inputs in FILE_ROWS.items():
        emit(row=row, inputs=inputs, engines=["dask"])


def main():
    args = arguments()
    limit_threads(args.threads, args.device)
    warnings.filterwarnings("ignore")  # NaN slices and overflow to infinity are part of the data
    try:
        import numpy  # noqa: F401
        from rows import FILE_ROWS, ROWS
    except ImportError as error:
        say(f"nothing to run without NumPy ({error})")
        return 0
    if args.list:
        list_rows(args.size)
        return 0
    rows = args.row or ([*ROWS, *FILE_ROWS] if args.make_data else [])
    unknown = [row for row in rows if row not in ROWS and row not in FILE_ROWS]
    if unknown or not rows or args.data is None:
        say(f"no such row: {', '.join(unknown)}" if unknown else "--row and --data are needed")
        return 2
    engines = [engine for group in args.engine for engine in group]
    if args.make_data:
        import data

        args.data.mkdir(parents=True, exist_ok=True)
        for row in rows:
            (data.make if row in ROWS else data.make_file)(row, args.size, args.data)
        return 0
    for row in rows:
        try:
            (run_array_row if row in ROWS else run_file_row)(row, engines, args)
        except (OSError, ValueError) as error:
            say(f"{row}: inputs cannot be read: {error}")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
