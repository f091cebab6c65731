"""Rows larger than memory: Dask on a LocalCluster with a memory limit, from Zarr to Zarr.

The cluster is one worker process with all threads, so that the limit bounds the whole run. Peak memory is the
resident size of this process (client and scheduler) and its children together, sampled while the row runs.
"""

import shutil
import threading
import time
from contextlib import contextmanager

import numpy as np
from rows import FILE_ROWS

SAMPLES = 4096


def sample_points(shape):
    """Where results too large to keep are compared: (k*7919 mod rows, k*104729 mod columns), k < 4096."""
    k = np.arange(SAMPLES, dtype=np.int64)
    return k * 7919 % shape[0], k * 104729 % shape[1]


@contextmanager
def peak_rss():
    """Samples resident memory of this process tree every 10 ms; `peak[0]` is the largest sum in bytes."""
    import psutil

    me, peak, done = psutil.Process(), [0], threading.Event()

    def watch():
        while not done.is_set():
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    pass  # ended between listing and asking
            peak[0] = max(peak[0], total)
            done.wait(0.01)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def build(row, folder, target):
    """The lazy Dask result that `row` stands for; stored to `target` unless it is small."""
    import dask.array as da

    inputs = [da.from_zarr(str(folder / name)) for name in FILE_ROWS[row]]
    if row == "stream_ndvi":
        red, nir = (a.astype("float32") for a in inputs)
        return ((nir - red) / (nir + red)).to_zarr(str(target), overwrite=True, compute=False)
    (x,) = inputs
    if row == "rechunk":
        rows, columns = x.shape
        strip = max(1, x.chunksize[0] * columns // rows)  # output chunks as large as the input's
        return x.rechunk((rows, strip)).to_zarr(str(target), overwrite=True, compute=False)
    return (x - x.mean(axis=0)).mean(axis=(1, 2))


def traffic(row, folder):
    """Bytes read once and written once, uncompressed."""
    import zarr

    inputs = [zarr.open_array(folder / name, mode="r") for name in FILE_ROWS[row]]
    read = sum(a.nbytes for a in inputs)
    written = {"stream_ndvi": 4 * inputs[0].size, "rechunk": read, "anomaly": 4 * inputs[0].shape[0]}
    return read + written[row]


def result_of(row, value, target):
    import zarr

    if row == "anomaly":
        return value
    array = zarr.open_array(target, mode="r")
    return array.vindex[sample_points(array.shape)]


def run_dask(row, folder, threads, memory_limit, timeout):
    """One run on a fresh cluster: (seconds, result, peak bytes). Raises what the run raises."""
    from distributed import Client, LocalCluster

    target, scratch = folder / f"{row}.dask.zarr", folder / "dask-scratch"
    try:
        with (
            LocalCluster(
                n_workers=1,
                threads_per_worker=threads,
                memory_limit=memory_limit,
                dashboard_address=None,
                local_directory=str(scratch),
                silence_logs="CRITICAL",
            ) as cluster,
            Client(cluster) as client,
            peak_rss() as peak,
        ):
            try:
                start = time.perf_counter()
                value = client.compute(build(row, folder, target)).result(timeout=timeout)
                seconds = time.perf_counter() - start
            except BaseException as error:
                error.peak_bytes = peak[0]
                raise
        return seconds, result_of(row, value, target), peak[0]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
