"""Runs one join question of db-benchmark with Polars, DuckDB and Dask; prints one JSON object a line.

    python joins.py --row j1 --threads N --repeat R --data DIR [--engine E ...]

Reads the tables that DIR/ROW.expected.json names into memory, then times the join alone. Results are checked by the number
of rows and the sums of v1 and v2.
"""

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--row", required=True)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--repeat", type=int, default=5)
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--engine", nargs="+", default=["polars", "duckdb", "dask"])
args, _ = parser.parse_known_args()  # the suite says more than is needed here
os.environ["POLARS_MAX_THREADS"] = str(args.threads)
told = json.loads((args.data / f"{args.row}.expected.json").read_text())
LEFT, RIGHT = args.data / "join_x.parquet", args.data / f"join_{told['width']}.parquet"
ON, HOW = told["on"], "left" if args.row == "j3" else "inner"
OTHER = f"id{told['width'] + 1}" if ON == "id5" else "id5"


def polars():
    import polars as pl

    left, right = pl.read_parquet(LEFT), pl.read_parquet(RIGHT).drop(OTHER)
    run = lambda: left.lazy().join(right.lazy(), on=ON, how=HOW).collect()
    return run, lambda r: [len(r), r["v1"].sum(), r["v2"].sum()]


def duckdb():
    import duckdb

    con = duckdb.connect()
    con.execute(f"set threads to {args.threads}")
    con.execute(f"create table x as select * from read_parquet('{LEFT}')")
    con.execute(f"create table y as select * exclude ({OTHER}) from read_parquet('{RIGHT}')")

    def run():
        con.execute(f"create or replace table answer as select * from x {HOW} join y using ({ON})")

    return run, lambda _: list(con.execute("select count(*), sum(v1), sum(v2) from answer").fetchone())


def dask():
    import dask
    import dask.dataframe as dd

    dask.config.set(scheduler="threads", num_workers=args.threads)
    left = dd.read_parquet(LEFT, split_row_groups=True).persist()
    right = dd.read_parquet(RIGHT).drop(columns=[OTHER]).persist()
    run = lambda: left.merge(right, on=ON, how=HOW).compute()
    return run, lambda r: [len(r), float(r["v1"].sum()), float(r["v2"].sum())]


want = told["digest"]
for engine in args.engine:
    try:
        run, digest = {"polars": polars, "duckdb": duckdb, "dask": dask}[engine]()
        got = digest(run())
        checked = all(math.isclose(g, w, rel_tol=1e-6, abs_tol=1e-6) for g, w in zip(got, want))
        best, spent = math.inf, 0.0
        for _ in range(args.repeat):
            start = time.perf_counter()
            run()
            took = time.perf_counter() - start
            best, spent = min(best, took), spent + took
            if spent > 60:
                break
    except Exception as e:  # a peer that fails is left out
        print(f"peers: {engine}: {args.row}: {e!r}", file=sys.stderr)
        continue
    line = {"row": args.row, "mode": "fresh", "engine": engine, "threads": args.threads, "seconds": best}
    print(json.dumps({**line, "gb_per_s": None, "checked": checked}), flush=True)
