"""Makes tables and what Polars and DuckDB make of them: the oracles of tests/frame_oracle.rs.

Run in this directory with polars 2.1 and duckdb 2.0 (others should do). Every case is a Parquet file of the same name in the test. Where
this library's documented meaning differs from a default, the option that means the same is taken and a comment says so:

- first and last skip nulls, and n_unique does not count them: drop_nulls() before;
- rows with a null key are in no group: filtered before, unless the test keeps them;
- nulls are sorted last, NaN is larger than any number: nulls_last=True;
- a sort takes -0.0 as less than 0.0: the test adds 0.0 to its key;
- the mean of float32 is a float64: cast before;
- the sum of no values is 0: coalesce in SQL;
- Monday is day 0 of a week: weekday() - 1;
- the sum of a window without values is null, as of pandas: the test fills it;
- a cell of a pivot without rows is null.
"""
import datetime as dt
import math
import random

import duckdb
import polars as pl
from polars import col

random.seed(20260417)
N, M = 1200, 150


def maybe(value, share=0.1):
    return None if random.random() < share else value


WORDS = ["", "a", "B", "ä", "Straße", "élan vital", "  padded ", "x-1", "-12", "+7.5", "日本語", "two words", "tab\there",
         "ALL CAPS", "camelCase99", "12", "½", "they're", "a,b,,c", "naïve café", "🦀 crab", "aXbXc"]


def number():
    kind = random.random()
    if kind < 0.04:
        return math.nan
    if kind < 0.06:
        return random.choice([math.inf, -0.0, 0.0, 1e300])
    return random.gauss(0, 10)


def moment():
    start = dt.datetime(1969, 11, 3)
    return start + dt.timedelta(microseconds=random.randrange(60 * 365 * 86_400 * 10**6))


rows = pl.DataFrame({
    "n": pl.Series(range(N), dtype=pl.Int64),
    "k": pl.Series([maybe(random.choice([*range(7), -3, 2**40])) for _ in range(N)], dtype=pl.Int64),
    "s": [maybe(random.choice(WORDS[:6])) for _ in range(N)],
    "w": [maybe(random.choice(WORDS)) for _ in range(N)],
    "i": pl.Series([maybe(random.randrange(-50, 50)) for _ in range(N)], dtype=pl.Int32),
    "u": pl.Series([maybe(random.randrange(0, 256)) for _ in range(N)], dtype=pl.UInt8),
    "x": [maybe(number()) for _ in range(N)],
    "y": [maybe(random.gauss(100, 5)) for _ in range(N)],
    "f": pl.Series([maybe(random.randrange(-400, 400) / 8) for _ in range(N)], dtype=pl.Float32),
    "b": [maybe(random.random() < 0.4) for _ in range(N)],
    "d": [maybe(dt.date(1899, 12, 25) + dt.timedelta(days=random.randrange(75_000))) for _ in range(N)],
    "t": [maybe(moment()) for _ in range(N)],
    "z": pl.Series([None] * N, dtype=pl.Int64),
    # one huge group, and many of one row
    "g": pl.Series([1 if random.random() < 0.9 else n for n in range(N)], dtype=pl.Int64),
})
right = pl.DataFrame({
    "k": pl.Series([maybe(random.randrange(0, 12)) for _ in range(M)], dtype=pl.Int64),
    "s": [maybe(random.choice(WORDS[:8])) for _ in range(M)],
    "v": pl.Series(range(M), dtype=pl.Int64),
})
# times about the changes of the clocks in Berlin
spring, autumn = dt.datetime(2024, 3, 31), dt.datetime(2024, 10, 27)
clocks = pl.DataFrame({"t": [maybe(random.choice([spring, autumn]) + dt.timedelta(minutes=7 * n - 1500)) for n in range(400)]})

# row groups of a few hundred rows: several parts to read
rows.write_parquet("rows.parquet", row_group_size=256)
right.write_parquet("right.parquet")
clocks.write_parquet("clocks.parquet")


def case(name, frame):
    frame.write_parquet(f"{name}.parquet", compression="zstd")


def sql(text):
    connection = duckdb.connect()
    connection.sql("create view rows as select * from read_parquet('rows.parquet')")
    # Arrow would be one more package: through Python's values
    found = connection.sql(text)
    return pl.DataFrame(found.fetchall(), schema=found.columns, orient="row", infer_schema_length=None)


# --- rows ---
case("filter", rows.filter((col("i") * 2 < col("k")) | col("b")).select("n"))
case("filter_text", rows.filter(col("w").str.contains("[a-z]+ [a-z]+") & col("d").is_not_null()).select("n", "w"))
case("filter_times", rows.filter((col("d") >= dt.date(2000, 2, 29)) & (col("t") < dt.datetime(1999, 12, 31, 23, 59, 59))).select("n"))
case("sort", rows.sort(["s", "x", "b"], descending=[True, False, True], nulls_last=True, maintain_order=True).select("n"))
case("sort_nulls_first", rows.sort(["k", "x"], descending=[True, True], nulls_last=[False, True], maintain_order=True).select("n"))
case("unique", rows.unique(["s", "b"], keep="first", maintain_order=True).select("n", "s", "b"))
case("unique_floats", rows.unique(["f"], keep="first", maintain_order=True).select("n"))
case("duplicated", rows.select("n", is_duplicated=pl.struct("s", "i", "b").is_duplicated()))
case("value_counts", rows.get_column("w").drop_nulls().value_counts().sort(["count", "w"], descending=[True, False]))
case("fill", rows.select("n", "x", "y", "i", "s").fill_nan(0.5).fill_null(7).with_columns(col("s").fill_null("none")))
case("nlargest", rows.sort("y", descending=True, nulls_last=True, maintain_order=True).head(9).select("n", "y"))

# --- folds ---
def folds(c, numbers=True):
    x = col(c)
    all_types = [x.count().alias("count"), x.min().alias("min"), x.max().alias("max"), x.drop_nulls().first().alias("first"),
                 x.drop_nulls().last().alias("last"), x.drop_nulls().n_unique().alias("n_unique"), pl.len().alias("len")]
    if not numbers:
        return all_types
    return all_types + [x.sum().alias("sum"), x.mean().alias("mean"), x.std().alias("std"), x.var(ddof=0).alias("var0"), x.median().alias("median"),
                        x.quantile(0.1, "linear").alias("q10"), x.quantile(0.75, "linear").alias("q75")]


for c in "iyuz":
    case(f"fold_{c}", rows.select(folds(c)))
    case(f"group_k_{c}", rows.drop_nulls("k").group_by("k").agg(folds(c)).sort("k"))
case("group_k_f", rows.drop_nulls("k").group_by("k").agg(col("f").sum(), col("f").cast(pl.Float64).mean().alias("mean"), col("f").max().alias("max")).sort("k"))
for c in "swdt":
    case(f"group_k_{c}", rows.drop_nulls("k").group_by("k").agg(folds(c, numbers=False)).sort("k"))
case("group_g", rows.group_by("g").agg(folds("y")).sort("g"))
case("group_s_b", rows.group_by("s", "b").agg(folds("i")).sort(["s", "b"], nulls_last=True))
case("group_x", rows.drop_nulls("x").group_by("x").agg(pl.len(), col("i").sum()).sort("x"))
case("group_d", rows.drop_nulls("d").group_by(col("d").dt.year() // 10 * 10).agg(pl.len(), col("y").mean()).sort("d"))
case("group_bools", rows.drop_nulls("k").group_by("k").agg(col("b").any().alias("any"), col("b").all().alias("all"), col("b").sum().alias("sum"), col("b").mean().alias("mean")).sort("k"))
# not a number: the smallest and largest are numbers if there are any; sums and means are NaN
case("group_nan", rows.drop_nulls("k").group_by("k").agg(col("x").min().alias("min"), col("x").max().alias("max"), col("x").sum().alias("sum"), col("x").drop_nulls().n_unique().alias("n_unique")).sort("k"))
case("describe", rows.select("i", "y", "u").describe(percentiles=(0.25, 0.5, 0.75), interpolation="linear"))
case("frame_mean", rows.select("i", "u", "y", col("f").cast(pl.Float64), "z").mean())
case("frame_quantile", rows.select("i", "u", "y", "z").quantile(0.3, "linear"))
case("frame_n_unique", rows.select(pl.all().drop_nulls().n_unique()))
case("transform", rows.with_columns(
    mean=pl.when(col("k").is_not_null()).then(col("y").mean().over("k")),
    len=pl.when(col("k").is_not_null()).then(pl.len().over("k"))).select("n", "mean", "len"))
case("transform_keep_nulls", rows.with_columns(most=col("i").max().over("s", "b"), len=pl.len().over("s", "b")).select("n", "most", "len"))
case("duck_folds", sql("""
    select k, sum(i)::bigint as total, stddev_samp(y) as std, var_pop(y) as var0, quantile_cont(y, 0.9) as q90, median(i)::double as median,
           corr(i, y) as corr, covar_samp(i, y) as cov, count(distinct w) as words, bool_or(b) as any
    from rows where k is not null group by k order by k"""))
case("duck_having", sql("""
    select s, count(*) as n, avg(y) as mean from rows where i > 0 and s is not null group by s having count(*) > 20 order by mean desc"""))

# --- joins ---
for how in ("inner", "left", "semi", "anti"):
    kw = {} if how in ("semi", "anti") else {"maintain_order": "left_right"}
    case(f"join_{how}", rows.join(right, on="k", how=how, **kw).select(["n", "k", "s", *(["v", "s_right"] if kw else [])]))
case("join_two", rows.join(right, on=["k", "s"], how="left", maintain_order="left_right").select("n", "v"))
case("join_full", rows.filter(col("k") < 4).join(right, on="k", how="full", coalesce=True).select("n", "k", "v").sort(["n", "v"], nulls_last=True))
case("join_right", rows.filter(col("k") < 4).join(right, on="k", how="right", coalesce=True).select("n", "k", "v").sort(["v", "n"], nulls_last=True))

# --- text ---
w = col("w").str
case("text", rows.select(
    "n",
    upper=w.to_uppercase(), lower=w.to_lowercase(), title=w.to_titlecase(), reverse=w.reverse(), trim=w.strip_chars(),
    trim_start=w.strip_chars_start(), trim_end=w.strip_chars_end(), trim_chars=w.strip_chars("ac "), chars=w.len_chars(), bytes=w.len_bytes(),
    contains=w.contains("a", literal=True), starts=w.starts_with("a"), ends=w.ends_with("c"), matches=w.contains(r"\d"),
    count=w.count_matches("[a-c]"), extract=w.extract(r"([a-z]+)[^a-z]+([a-z]+)", 2), replace=w.replace_all("a", "<A>", literal=True),
    replace_regex=w.replace_all(r"(\w)(\d)", "$2$1"), slice=w.slice(1, 3), tail=w.slice(-4, 2), zfill=w.zfill(6),
    pad_start=w.pad_start(8, "*"), pad_end=w.pad_end(8, "."), prefix=w.strip_prefix("a"), suffix=w.strip_suffix("c"),
    second=w.split(",").list.get(1, null_on_oob=True), last=w.split("X").list.get(-1), joined=pl.concat_str("w", "k", separator="/")))
case("duck_text", sql(r"""
    select n, strpos(w, 'c') as found, repeat(w, 2) as twice, regexp_replace(w, '[aeiou]', '_', 'g') as masked, length(w) as chars
    from rows order by n"""))

# --- calendar ---
spans = ["15m", "7m", "1h", "6h", "1d", "3d", "1w", "2w", "1mo", "2mo", "5mo", "1q", "1y", "10y"]
for c in "dt":
    x = col(c).dt
    parts = dict(
        year=x.year(), iso_year=x.iso_year(), quarter=x.quarter(), month=x.month(), day=x.day(), weekday=x.weekday().cast(pl.Int32) - 1, ordinal=x.ordinal_day(),
        week=x.week(), leap=x.is_leap_year(), month_start=x.month_start().cast(pl.Date), month_end=x.month_end().cast(pl.Date),
        days=x.days_in_month(), name=x.strftime("%A"), month_name=x.strftime("%B"), text=x.strftime("%d.%m.%Y"))
    if c == "t":
        parts |= dict(hour=x.hour(), minute=x.minute(), second=x.second(), millisecond=x.millisecond(), microsecond=x.microsecond(),
                      nanosecond=x.nanosecond(), date=x.date(), stamp=x.strftime("%Y-%m-%d %H:%M:%S%.3f"), time=x.time(),
                      nearest=x.round("1h"))
    case(f"calendar_{c}", rows.select("n", **parts))
    case(f"truncate_{c}", rows.select("n", *(x.truncate(s).alias(s) for s in spans if c == "t" or s[-1] not in "mh")))
berlin = col("t").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
plain = lambda e: e.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
case("zones", clocks.select(
    hour=berlin.dt.hour(), date=berlin.dt.date(), text=berlin.dt.strftime("%H:%M %z"), day=plain(berlin.dt.truncate("1d")),
    hours=plain(berlin.dt.truncate("1h")), month=plain(berlin.dt.truncate("1mo")), shown=berlin.dt.replace_time_zone(None),
    taken=plain(col("t").dt.replace_time_zone("Europe/Berlin", ambiguous="earliest", non_existent="null"))))
case("resample", rows.drop_nulls("t").group_by(col("t").dt.truncate("2y")).agg(pl.len(), col("y").mean(), col("i").sum()).sort("t"))
case("duck_months", sql("""
    select date_trunc('month', t)::date as t, count(*) as len, coalesce(sum(y), 0) as y from rows where t is not null group by 1 order by 1"""))

# --- shapes ---
case("unpivot", rows.unpivot(["i", "u", "y"], index=["n", "s"]).with_columns(col("value").cast(pl.Float64)).sort(["n", "variable"]))
wide = rows.drop_nulls("k").pivot("s", on_columns=["a", "B", "ä"], index="k", values="y", aggregate_function="mean").sort("k")
case("pivot", wide)
counts = rows.drop_nulls("k").filter(col("b").is_not_null()).group_by("k", "b").agg(pl.len(), col("i").max())
case("pivot_two", counts.pivot("b", on_columns=[False, True], index="k", values=["len", "i"]).sort("k"))

# --- rows in order ---
i, y = col("i"), col("y")
ordered = dict(
    sum=i.cast(pl.Int64).cum_sum(), prod=i.clip(1, 2).cast(pl.Int64).cum_prod(), min=y.cum_min(), max=y.cum_max(), count=i.cum_count(), before=i.shift(3),
    after=col("s").shift(-2), diff=y.diff(), change=y / y.shift(2) - 1, forward=col("s").forward_fill(), backward=y.backward_fill(),
    rolled=y.rolling_mean(5, min_samples=2), least=i.rolling_min(4, min_samples=1), most=i.rolling_max(4), total=i.cast(pl.Int64).rolling_sum(7, min_samples=3),
    spread=y.rolling_std(6, min_samples=3))
case("in_order", rows.select("n", **ordered))
case("in_order_over", rows.select("n", **{name: e.over("s", "b") for name, e in ordered.items()}))
timed = rows.drop_nulls("t").sort("t")
case("rolling_by", timed.select(
    "n", mean=y.rolling_mean_by("t", "300d"), most=i.rolling_max_by("t", "1000d"), total=i.cast(pl.Int64).rolling_sum_by("t", "90d")))
later = timed.filter(col("i") > 20).select("t", "s", "n")
case("join_asof", timed.select("t", "n").join_asof(later.select("t", "n"), on="t", strategy="backward", suffix="_right").select("n", "n_right"))
case("join_asof_by", timed.drop_nulls("s").select("t", "s", "n").join_asof(
    later.drop_nulls("s"), on="t", by="s", strategy="backward", tolerance="700d", suffix="_right").select("n", "n_right"))

# --- lists, more rows, numbers ---
known = rows.drop_nulls("k").group_by("k")
case("top_k", known.agg(i.drop_nulls().sort(descending=True).head(3)).sort("k").explode("i"))
case("bottom_k", known.agg(col("d").drop_nulls().sort().head(2)).sort("k").explode("d"))
case("collect_list", known.agg(col("w").drop_nulls()).sort("k").explode("w"))
case("prod", known.agg(prod=(i.clip(1, 3) % 3 + 1).cast(pl.Float64).product()).sort("k"))
case("concat", pl.concat([rows.select("n", "k", "s"), right.select(n="v", k="k", s="s")]))
case("cross", rows.head(40).select("n", "s").join(right.select("v").head(13), how="cross"))
case("tail", rows.tail(7).select("n"))
case("slice", rows.slice(700, 50).select("n", "k"))
case("nsmallest", rows.sort("y", nulls_last=True, maintain_order=True).head(6).select("n", "y"))
case("numbers", rows.select(
    "n", absolute=(y - 100).abs(), rounded=y.round(1), clipped=i.clip(-10, 20), squared=i.cast(pl.Int64).pow(2), sqrt=(y - 90).sqrt(), exp=(y / 50).exp(),
    log=y.log(), floor=col("x").floor(), ceil=col("x").ceil(), floor_div=i // col("u").cast(pl.Int32), rem=i % col("u").cast(pl.Int32), floor_div_f=y // (i / 4), rem_f=y % (i / 4),
    negative=-i, chosen=pl.when(i > 0).then(y).otherwise(col("x")), is_in=i.is_in([1, 2, 3, -7]), between=i.is_between(-5, 5), both=(i > 0) & col("b"), either=(i > 0) | col("b")))
case("casts", rows.select(
    "n", text=i.cast(pl.String), whole=col("f").cast(pl.Int32), wide=col("u").cast(pl.Int64), number=col("b").cast(pl.Int8), day=col("t").cast(pl.Date),
    date=col("d").cast(pl.String), truth=(i % 3).cast(pl.Boolean), single=y.cast(pl.Float32)))
case("days", rows.select("n", like=w.contains("^.a"), month_start=col("d").dt.day() == 1, month_end=col("d").dt.month_end() == col("d"), seconds=(col("t") - dt.datetime(1970, 1, 1)).dt.total_microseconds() / 1e6))
# comparisons with NaN are false here, of IEEE 754; a median of values of which one is NaN is NaN
case("nan_compare", rows.filter((col("x") > 0.5) & col("x").is_not_nan()).select("n"))
case("nan_median", rows.drop_nulls("k").group_by("k").agg(median=pl.when(col("x").is_nan().any()).then(math.nan).otherwise(col("x").median())).sort("k"))
