"""Runs one row of frames larger than memory with DuckDB, Polars (streaming) and Dask, each in a process of its own.

    python tables.py --row sort_frame --threads N --memory-limit BYTES --data DIR [--engine E ...]

Reads the files that the suite wrote into DIR; results are checked by DIR/ROW.expected.json. DuckDB gets the limit as its
memory_limit, Dask as that of its one worker; Polars has none. Peak resident memory is told for each.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--row", required=True)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--memory-limit", type=int, required=True)
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--engine", nargs="+", default=["duckdb", "polars", "dask"])
parser.add_argument("--child", action="store_true")
args, _ = parser.parse_known_args()  # the suite says more than is needed here
os.environ["POLARS_MAX_THREADS"] = str(args.threads)
CSV, LEFT, RIGHT = (args.data / name for name in ("table.csv", "table.parquet", "partner.parquet"))
SORTED = args.data / "peer.parquet"
TABLE = CSV if args.row == "csv_groupby" else LEFT


def duckdb(scratch):
    import duckdb

    con = duckdb.connect(config={"temp_directory": scratch})
    con.execute(f"set threads to {args.threads}")
    con.execute(f"set memory_limit = '{args.memory_limit} bytes'")
    one = lambda sql: [float(v) for v in con.execute(sql).fetchone()]
    if args.row in ("csv_groupby", "parquet_groupby"):
        few = f"select sum(v1) a, avg(v3) b from '{TABLE}' group by id1"
        many = f"select sum(v1) a, sum(v3) b from '{TABLE}' group by id6"
        return sum((one(f"select count(*), sum(a), sum(b) from ({q})") for q in (few, many)), [])
    if args.row == "groupby_many":
        q = f"select k // 4 g, sum(v3) v from '{TABLE}' group by g"
        return one(f"select count(*), sum(v), sum(v * (g % 97)) from ({q})")
    if args.row == "sort_frame":
        con.execute(f"copy (select * from '{TABLE}' order by k) to '{SORTED}' (format parquet, compression zstd)")
        return None
    return one(f"select count(*), sum(v3 * w) from '{LEFT}' join '{RIGHT}' using (k)")


def polars(_):
    import polars as pl

    c = pl.col
    table = pl.scan_csv(TABLE) if args.row == "csv_groupby" else pl.scan_parquet(TABLE)
    one = lambda q: [float(v) for v in q.collect(engine="streaming").row(0)]
    if args.row in ("csv_groupby", "parquet_groupby"):
        sums = (pl.len(), c("v1").sum(), c("v3").sum())
        few = table.group_by("id1").agg(c("v1").sum(), c("v3").mean())
        many = table.group_by("id6").agg(c("v1").sum(), c("v3").sum())
        return one(few.select(sums)) + one(many.select(sums))
    if args.row == "groupby_many":
        groups = table.group_by((c("k") // 4).alias("g")).agg(c("v3").sum())
        return one(groups.select(pl.len(), c("v3").sum(), (c("v3") * (c("g") % 97)).sum().alias("w")))
    if args.row == "sort_frame":
        table.sort("k").sink_parquet(SORTED, compression="zstd")
        return None
    pairs = table.join(pl.scan_parquet(RIGHT), on="k")
    return one(pairs.select(pl.len(), (c("v3") * c("w")).sum().alias("s")))


def dask(scratch):
    import dask
    import dask.dataframe as dd
    from dask.distributed import Client, LocalCluster

    dask.config.set({"temporary-directory": scratch})
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=args.threads, memory_limit=args.memory_limit, dashboard_address=None
    )
    with cluster, Client(cluster):
        table = dd.read_csv(TABLE) if args.row == "csv_groupby" else dd.read_parquet(TABLE, split_row_groups=True)
        if args.row in ("csv_groupby", "parquet_groupby"):
            few = table.groupby("id1").agg({"v1": "sum", "v3": "mean"}).compute()
            many = table.groupby("id6").agg({"v1": "sum", "v3": "sum"}, split_out=16)
            parts = dask.compute(many["v1"].count(), many["v1"].sum(), many["v3"].sum())
            return [float(v) for v in (len(few), few["v1"].sum(), few["v3"].sum(), *parts)]
        if args.row == "groupby_many":
            groups = table.assign(g=table["k"] // 4).groupby("g")["v3"].sum(split_out=64).reset_index()
            weighted = (groups["v3"] * (groups["g"] % 97)).sum()
            return [float(v) for v in dask.compute(groups["v3"].count(), groups["v3"].sum(), weighted)]
        if args.row == "sort_frame":
            raise NotImplementedError("no single sorted file")
        pairs = table.merge(dd.read_parquet(RIGHT, split_row_groups=True), on="k")
        return [float(v) for v in dask.compute(pairs["v3"].count(), (pairs["v3"] * pairs["w"]).sum())]


def of_sorted():
    import numpy
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    place, right, total = 0, 0, 0.0
    for batch in pq.ParquetFile(SORTED).iter_batches(columns=["k", "v3"]):
        k = batch.column(0).to_numpy()
        right += int((k == numpy.arange(place, place + len(k))).sum())
        place += len(k)
        total += pc.sum(batch.column(1)).as_py()
    return [float(right), total]


def child():
    with tempfile.TemporaryDirectory(dir=args.data) as scratch:
        start = time.perf_counter()
        got = {"polars": polars, "duckdb": duckdb, "dask": dask}[args.engine[0]](scratch)
        seconds = time.perf_counter() - start
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) >> 10
    if got is None:
        got = of_sorted()
        SORTED.unlink()
    want = json.loads((args.data / f"{args.row}.expected.json").read_text())["digest"]
    checked = len(got) == len(want) and all(math.isclose(g, w, rel_tol=1e-6, abs_tol=1e-6) for g, w in zip(got, want))
    line = {"row": args.row, "mode": "file", "engine": args.engine[0], "threads": args.threads, "seconds": seconds}
    print(json.dumps({**line, "gb_per_s": None, "checked": checked, "peak_rss_mib": peak}), flush=True)


if __name__ == "__main__":
    if args.child:
        child()
    else:
        for engine in args.engine:
            command = [sys.executable, __file__, *sys.argv[1:], "--child", "--engine", engine]
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, timeout=900)
            except subprocess.TimeoutExpired:
                print(f"peers: {engine}: {args.row}: ended after 900 s", file=sys.stderr)
                continue
            if done.returncode:
                print(f"peers: {engine}: {args.row}: ended with {done.returncode}", file=sys.stderr)
            sys.stdout.write(done.stdout.decode())
            sys.stdout.flush()
