"""Runs one groupby question of db-benchmark with Polars, DuckDB and Dask; prints one JSON object a line.

    python frames.py --row q1 --threads N --repeat R --data DIR [--engine E ...]

Reads DIR/groupby.parquet into memory, then times the question alone. Results are checked by DIR/ROW.expected.json: the
number of rows and the sums of the columns.
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
TABLE = args.data / "groupby.parquet"


def polars():
    import polars as pl

    c = pl.col
    df = pl.read_parquet(TABLE)
    by = {
        "q1": (["id1"], [c("v1").sum()]),
        "q2": (["id1", "id2"], [c("v1").sum()]),
        "q3": (["id3"], [c("v1").sum(), c("v3").mean()]),
        "q4": (["id4"], [c("v1").mean(), c("v2").mean(), c("v3").mean()]),
        "q5": (["id6"], [c("v1").sum(), c("v2").sum(), c("v3").sum()]),
        "q6": (["id4", "id5"], [c("v3").median().alias("median"), c("v3").std().alias("sd")]),
        "q7": (["id3"], [(c("v1").max() - c("v2").min()).alias("range")]),
        "q8": (["id6"], [c("v3").top_k(2)]),
        "q9": (["id2", "id4"], [(pl.corr("v1", "v2") ** 2).alias("r2")]),
        "q10": (["id1", "id2", "id3", "id4", "id5", "id6"], [c("v3").sum(), pl.len().alias("count")]),
    }
    keys, folds = by[args.row]

    def digest(r):
        values = [x for x in r.columns if not x.startswith("id")]
        return [len(r)] + [float(r[x].cast(pl.Float64).fill_nan(0).fill_null(0).sum()) for x in values]

    if args.row == "q8":
        return lambda: df.lazy().group_by(keys).agg(folds).explode("v3").collect(), digest
    return lambda: df.lazy().group_by(keys).agg(folds).collect(), digest


def duckdb():
    import duckdb

    con = duckdb.connect()
    con.execute(f"set threads to {args.threads}")
    # text of few values is an ENUM there
    con.execute(f"create table raw as select * from read_parquet('{TABLE}')")
    for name in ("id1", "id2"):
        con.execute(f"create type t_{name} as enum (select distinct {name}::varchar from raw order by 1)")
    con.execute("create table t as select * replace (id1::t_id1 as id1, id2::t_id2 as id2) from raw")
    con.execute("drop table raw")
    sql = {
        "q1": "id1, sum(v1)",
        "q2": "id1, id2, sum(v1)",
        "q3": "id3, sum(v1), avg(v3)",
        "q4": "id4, avg(v1), avg(v2), avg(v3)",
        "q5": "id6, sum(v1), sum(v2), sum(v3)",
        "q6": "id4, id5, median(v3), stddev(v3)",
        "q7": "id3, max(v1) - min(v2)",
        "q8": "id6, unnest(max(v3, 2)) as v3",
        "q9": "id2, id4, pow(corr(v1, v2), 2)",
        "q10": "id1, id2, id3, id4, id5, id6, sum(v3), count(*)",
    }[args.row]
    keys = ", ".join(x.strip() for x in sql.split(",") if x.strip().startswith("id"))

    def run():
        con.execute(f"create or replace table answer as select {sql} from t group by {keys}")
        return con

    def digest(_):
        columns = [d[0] for d in con.execute("describe answer").fetchall()]
        values = [f'"{x}"' for x in columns if not x.startswith("id")]
        sums = ", ".join(f"sum(case when isfinite({v}::double) then {v} else 0 end)" for v in values)
        return [float(x or 0) for x in con.execute(f"select count(*), {sums} from answer").fetchone()]

    return run, digest


def dask():
    import dask
    import dask.dataframe as dd

    dask.config.set(scheduler="threads", num_workers=args.threads)
    df = dd.read_parquet(TABLE, split_row_groups=True).persist()
    by = {
        "q1": (["id1"], {"v1": "sum"}),
        "q2": (["id1", "id2"], {"v1": "sum"}),
        "q3": (["id3"], {"v1": "sum", "v3": "mean"}),
        "q4": (["id4"], {"v1": "mean", "v2": "mean", "v3": "mean"}),
        "q5": (["id6"], {"v1": "sum", "v2": "sum", "v3": "sum"}),
        "q6": (["id4", "id5"], {"v3": ["median", "std"]}),
        "q7": (["id3"], {"v1": "max", "v2": "min"}),
        "q10": (["id1", "id2", "id3", "id4", "id5", "id6"], {"v3": ["sum", "count"]}),
    }
    if args.row == "q8":
        largest = lambda v: v.nlargest(2)
        groups = df.groupby("id6")["v3"]
        return lambda: groups.apply(largest, meta=("v3", "f8")).compute(), lambda r: [len(r), float(r.sum())]
    if args.row == "q9":
        # groupby(...).corr() fails for two keys: by sums
        x, y = df["v1"].astype("f8"), df["v2"].astype("f8")
        groups = df.assign(x=x, y=y, xx=x * x, yy=y * y, xy=x * y).groupby(["id2", "id4"], observed=True)

        def r2():
            s = groups[["x", "y", "xx", "yy", "xy"]].sum().compute()
            n = groups.size().compute()
            return (n * s.xy - s.x * s.y) ** 2 / ((n * s.xx - s.x**2) * (n * s.yy - s.y**2))

        return r2, lambda r: [len(r), float(r.sum())]
    keys, folds = by[args.row]

    def digest(r):
        if args.row == "q7":
            return [len(r), float((r["v1"] - r["v2"]).sum())]
        return [len(r)] + [float(r[x].sum()) for x in r.columns]

    return lambda: df.groupby(keys, observed=True).agg(folds).compute(), digest


def agrees(got, want):
    return len(got) == len(want) and all(math.isclose(g, w, rel_tol=1e-6, abs_tol=1e-6) for g, w in zip(got, want))


want = json.loads((args.data / f"{args.row}.expected.json").read_text())["digest"]
for engine in args.engine:
    try:
        run, digest = {"polars": polars, "duckdb": duckdb, "dask": dask}[engine]()
        checked = agrees(digest(run()), want)
        best = math.inf
        for _ in range(args.repeat):
            start = time.perf_counter()
            run()
            best = min(best, time.perf_counter() - start)
    except (ImportError, KeyError) as e:
        print(f"peers: {engine}: {args.row}: {e!r}", file=sys.stderr)
        continue
    print(
        json.dumps(
            {
                "row": args.row,
                "mode": "fresh",
                "engine": engine,
                "threads": args.threads,
                "seconds": best,
                "gb_per_s": None,
                "checked": checked,
            }
        ),
        flush=True,
    )
