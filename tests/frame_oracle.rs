//! Frames against Polars and DuckDB: what they made of the tables in `tests/data/frames` is what comes out here.
#![cfg(feature = "parquet")]

use blockwise::frame::{
    DataFrame, DataType, Every, Expr, JoinKind, Table, TimeUnit, col, concat_str, corr, cov, date, len, lit,
    scan_parquet, selectors, timestamp, when,
};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/frames");

fn file(name: &str) -> DataFrame {
    scan_parquet(format!("{DIRECTORY}/{name}.parquet"))
}

fn rows() -> DataFrame {
    file("rows")
}

/// Numbers as text that says whether they are the same, floats apart.
fn shown(table: &Table, name: &str) -> Vec<Option<String>> {
    let column = table.clone().into_frame().select(col(name).cast(DataType::Utf8)).collect();
    column.unwrap_or_else(|e| panic!("{name}: {e}")).texts(name).unwrap()
}

fn floats(table: &Table, name: &str) -> Vec<Option<f64>> {
    let column = table.clone().into_frame().select(col(name).cast(DataType::Float64)).collect();
    column.unwrap_or_else(|e| panic!("{name}: {e}")).values(name).unwrap()
}

/// Floats as good as equal: their folds go in another order.
fn close(a: Option<f64>, b: Option<f64>, tolerance: f64) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(b.abs())
        }
        _ => false,
    }
}

/// Columns of a file by name; the result may have others.
fn check_within(case: &str, got: &DataFrame, tolerance: f64) {
    let got = got.collect().unwrap_or_else(|e| panic!("{case}: {e}"));
    let want = file(case).collect().unwrap();
    assert_eq!(got.num_rows(), want.num_rows(), "{case}: rows\n{got}\n{want}");
    for field in want.schema().fields() {
        let name = field.name();
        if field.data_type().is_floating() {
            let pairs = floats(&got, name).into_iter().zip(floats(&want, name));
            for (row, (a, b)) in pairs.enumerate() {
                assert!(close(a, b, tolerance), "{case}, column {name}, row {row}: {a:?}, not {b:?}");
            }
        } else {
            let pairs = shown(&got, name).into_iter().zip(shown(&want, name));
            for (row, (a, b)) in pairs.enumerate() {
                assert_eq!(a, b, "{case}, column {name}, row {row}");
            }
        }
    }
}

fn check(case: &str, got: &DataFrame) {
    check_within(case, got, 1e-12);
}

#[test]
fn rows_are_filtered_and_ordered() {
    let rows = rows();
    check("filter", &rows.filter((col("i") * 2).lt(col("k")) | col("b")).select("n"));
    let words = col("w").str().matches("[a-z]+ [a-z]+") & col("d").is_not_null();
    check("filter_text", &rows.filter(words));
    let times = col("d").ge(date(2000, 2, 29)) & col("t").lt(timestamp(1999, 12, 31, 23, 59, 59));
    check("filter_times", &rows.filter(times));
    let keys = [col("s").descending(), (col("x") + 0.0).ascending(), col("b").descending()];
    check("sort", &rows.sort(keys));
    check(
        "sort_nulls_first",
        &rows.sort([col("k").descending().nulls_first(), (col("x") + 0.0).descending()]),
    );
    check("unique", &rows.unique(["s", "b"]));
    check("unique_floats", &rows.unique("f"));
    check("duplicated", &rows.with_duplicated(["s", "i", "b"]));
    let counts = rows.filter(col("w").is_not_null()).value_counts("w");
    check("value_counts", &counts.sort([col("count").descending(), col("w").ascending()]));
    let some = rows.select(["n", "x", "y", "i", "s"]);
    check("fill", &some.fill_nan(0.5).fill_null(7).fill_null("none"));
    check("nlargest", &rows.nlargest(9, "y"));
}

fn folds(c: &str, numbers: bool) -> Vec<Expr> {
    let x = col(c);
    let mut all = vec![
        x.count().alias("count"),
        x.min().alias("min"),
        x.max().alias("max"),
        x.first().alias("first"),
        x.last().alias("last"),
        x.n_unique().alias("n_unique"),
        len(),
    ];
    if numbers {
        all.extend([
            x.sum().alias("sum"),
            x.mean().alias("mean"),
            x.std().alias("std"),
            x.var_ddof(0).alias("var0"),
            x.median().alias("median"),
            x.quantile(0.1).alias("q10"),
            x.quantile(0.75).alias("q75"),
        ]);
    }
    all
}

#[test]
fn folds_of_all_rows_and_of_groups() {
    let rows = rows();
    let by_k = || rows.group_by("k");
    for c in ["i", "y", "u", "z"] {
        check(&format!("fold_{c}"), &rows.select(folds(c, true)));
        check(&format!("group_k_{c}"), &by_k().agg(folds(c, true)).sort("k"));
    }
    for c in ["s", "w", "d", "t"] {
        check(&format!("group_k_{c}"), &by_k().agg(folds(c, false)).sort("k"));
    }
    let of_f32 = [col("f").sum(), col("f").mean().alias("mean"), col("f").max().alias("max")];
    check("group_k_f", &by_k().agg(of_f32).sort("k"));
    check("group_g", &rows.group_by("g").agg(folds("y", true)).sort("g"));
    check("group_s_b", &rows.group_by(["s", "b"]).keep_nulls().agg(folds("i", true)).sort(["s", "b"]));
    check("group_x", &rows.group_by("x").agg([len(), col("i").sum()]).sort("x"));
    let decade = (col("d").dt().year().floor_div(10) * 10).alias("d");
    check("group_d", &rows.group_by(decade).agg([len(), col("y").mean()]).sort("d"));
    let b = col("b");
    let bools = [b.any().alias("any"), b.all().alias("all"), b.sum().alias("sum"), b.mean().alias("mean")];
    check("group_bools", &by_k().agg(bools).sort("k"));
    let x = col("x");
    let nan =
        [x.min().alias("min"), x.max().alias("max"), x.sum().alias("sum"), x.n_unique().alias("n_unique")];
    check("group_nan", &by_k().agg(nan).sort("k"));
    // DuckDB
    let both = [
        col("i").sum().alias("total"),
        col("y").std().alias("std"),
        col("y").var_ddof(0).alias("var0"),
        col("y").quantile(0.9).alias("q90"),
        col("i").median().alias("median"),
        col("w").n_unique().alias("words"),
        b.any().alias("any"),
    ];
    let found = by_k().agg(both).sort("k");
    // differences of variances lose digits: what is left is compared
    let loose = by_k().agg([corr(col("i"), col("y")).alias("corr"), cov(col("i"), col("y")).alias("cov")]);
    check_within("duck_folds", &found.join(&loose, "k", JoinKind::Left), 1e-9);
    let having =
        rows.filter(col("i").gt(0)).group_by("s").agg([len().alias("n"), col("y").mean().alias("mean")]);
    check("duck_having", &having.filter(col("n").gt(20)).sort(col("mean").descending()));
}

#[test]
fn folds_of_frames_and_for_every_row() {
    let rows = rows();
    check("describe", &rows.select(["i", "y", "u"]).describe());
    check("frame_mean", &rows.select(["i", "u", "y", "f", "z"]).mean());
    check("frame_quantile", &rows.select(["i", "u", "y", "z"]).quantile(0.3));
    check("frame_n_unique", &rows.n_unique());
    let most = [col("i").max().alias("most"), len()];
    check("transform_keep_nulls", &rows.group_by(["s", "b"]).keep_nulls().transform(most));
    check("transform", &rows.group_by("k").transform([col("y").mean().alias("mean"), len()]));
}

#[test]
fn joins_pair_rows() {
    let (rows, right) = (rows(), file("right"));
    for (name, kind) in [
        ("inner", JoinKind::Inner),
        ("left", JoinKind::Left),
        ("semi", JoinKind::Semi),
        ("anti", JoinKind::Anti),
    ] {
        check(&format!("join_{name}"), &rows.join(&right, "k", kind));
    }
    check("join_two", &rows.join(&right, ["k", "s"], JoinKind::Left));
    let few = rows.filter(col("k").lt(4));
    check("join_full", &few.join(&right, "k", JoinKind::Full).sort(["n", "v"]));
    check("join_right", &few.join(&right, "k", JoinKind::Right).sort(["v", "n"]));
}

#[test]
fn functions_of_text() {
    let w = col("w").str();
    let functions = [
        col("n"),
        w.to_uppercase().alias("upper"),
        w.to_lowercase().alias("lower"),
        w.to_titlecase().alias("title"),
        w.reverse().alias("reverse"),
        w.trim().alias("trim"),
        w.trim_start().alias("trim_start"),
        w.trim_end().alias("trim_end"),
        w.trim_chars("ac ").alias("trim_chars"),
        w.len_chars().alias("chars"),
        w.len_bytes().alias("bytes"),
        w.contains("a").alias("contains"),
        w.starts_with("a").alias("starts"),
        w.ends_with("c").alias("ends"),
        w.matches(r"\d").alias("matches"),
        w.count_matches("[a-c]").alias("count"),
        w.extract(r"([a-z]+)[^a-z]+([a-z]+)", 2).alias("extract"),
        w.replace("a", "<A>").alias("replace"),
        w.replace_regex(r"(\w)(\d)", "$2$1").alias("replace_regex"),
        w.slice(1, 3).alias("slice"),
        w.slice(-4, 2).alias("tail"),
        w.zfill(6).alias("zfill"),
        w.pad_start(8, '*').alias("pad_start"),
        w.pad_end(8, '.').alias("pad_end"),
        w.strip_prefix("a").alias("prefix"),
        w.strip_suffix("c").alias("suffix"),
        w.split_part(",", 1).alias("second"),
        w.split_part("X", -1).alias("last"),
        concat_str([col("w"), col("k")], "/").alias("joined"),
    ];
    check("text", &rows().select(functions.clone()));
    // the same of categories
    check("text", &rows().with_columns(col("w").to_categorical()).select(functions));
    let duck = [
        col("n"),
        // 0 where there is none
        (w.find("c") + 1).fill_null(w.len_chars().clip(0, 0)).alias("found"),
        w.repeat(2).alias("twice"),
        w.replace_regex("[aeiou]", "_").alias("masked"),
        w.len_chars().alias("chars"),
    ];
    check("duck_text", &rows().select(duck));
}

#[test]
fn parts_of_the_calendar() {
    let spans = ["15m", "7m", "1h", "6h", "1d", "3d", "1w", "2w", "1mo", "2mo", "5mo", "1q", "1y", "10y"];
    for c in ["d", "t"] {
        let x = col(c).dt();
        let mut parts = vec![
            col("n"),
            x.year().alias("year"),
            x.iso_year().alias("iso_year"),
            x.quarter().alias("quarter"),
            x.month().alias("month"),
            x.day().alias("day"),
            x.weekday().alias("weekday"),
            x.ordinal_day().alias("ordinal"),
            x.week().alias("week"),
            x.is_leap_year().alias("leap"),
            x.month_start().alias("month_start"),
            x.month_end().alias("month_end"),
            x.days_in_month().alias("days"),
            x.day_name().alias("name"),
            x.month_name().alias("month_name"),
            x.strftime("%d.%m.%Y").alias("text"),
        ];
        if c == "t" {
            parts.extend([
                x.hour().alias("hour"),
                x.minute().alias("minute"),
                x.second().alias("second"),
                x.millisecond().alias("millisecond"),
                x.microsecond().alias("microsecond"),
                x.nanosecond().alias("nanosecond"),
                x.date().alias("date"),
                x.time().alias("time"),
                x.strftime("%Y-%m-%d %H:%M:%S%.3f").alias("stamp"),
                x.round(Every::hours(1)).alias("nearest"),
            ]);
        }
        check(&format!("calendar_{c}"), &rows().select(parts));
        let starts = spans.iter().map(|s| col(c).dt().truncate(s.parse().unwrap()).alias(s));
        check(
            &format!("truncate_{c}"),
            &rows().select(std::iter::once(col("n")).chain(starts).collect::<Vec<_>>()),
        );
    }
}

#[test]
fn clocks_of_a_zone() {
    let t = file("clocks").with_columns(col("t").cast(DataType::Timestamp(TimeUnit::Microsecond, None)));
    let berlin = col("t").dt().convert_time_zone("Europe/Berlin");
    let utc = |e: Expr| e.dt().convert_time_zone("UTC").dt().replace_time_zone(None);
    let found = t.select([
        berlin.dt().hour().alias("hour"),
        berlin.dt().date().alias("date"),
        berlin.dt().strftime("%H:%M %z").alias("text"),
        utc(berlin.dt().truncate(Every::days(1))).alias("day"),
        utc(berlin.dt().truncate(Every::hours(1))).alias("hours"),
        utc(berlin.dt().truncate(Every::months(1))).alias("month"),
        berlin.dt().replace_time_zone(None).alias("shown"),
        utc(col("t").dt().replace_time_zone(Some("Europe/Berlin"))).alias("taken"),
    ]);
    check("zones", &found);
}

#[test]
fn time_in_spans_and_tables_turned() {
    let rows = rows();
    let known = rows.filter(col("t").is_not_null());
    let years = known.resample("t", Every::years(2)).agg([len(), col("y").mean(), col("i").sum()]);
    check("resample", &years.sort("t"));
    let months = known.resample("t", Every::months(1)).agg([len(), col("y").sum()]);
    let months = months.with_columns(col("t").dt().date());
    check("duck_months", &months.sort("t"));
    let numbers = selectors::by_name(["i", "u", "y"]);
    let long = rows.unpivot(rows.columns_of(numbers).unwrap(), ["n", "s"]);
    check("unpivot", &long.sort(["n", "variable"]));
    check(
        "pivot",
        &rows.filter(col("k").is_not_null()).pivot("k", "s", ["a", "B", "ä"], col("y").mean()).sort("k"),
    );
    let known = rows.filter(col("k").is_not_null() & col("b").is_not_null());
    let two = known.pivot("k", "b", [false, true], [len(), col("i").max()]);
    check("pivot_two", &two.sort("k"));
    let found = known.pivot_eager("k", "b", [len(), col("i").max()]).unwrap();
    check("pivot_two", &found.sort("k"));
}

#[test]
fn functions_of_rows_in_order() {
    let rows = rows();
    let (i, y) = (col("i"), col("y"));
    let all = |over: bool| {
        let of = |e: Expr, name: &str| if over { e.over(["s", "b"]).alias(name) } else { e.alias(name) };
        vec![
            col("n"),
            of(i.cum_sum(), "sum"),
            of(i.clip(1, 2).cum_prod(), "prod"),
            of(y.cum_min(), "min"),
            of(y.cum_max(), "max"),
            of(i.cum_count(), "count"),
            of(i.shift(3), "before"),
            of(col("s").shift(-2), "after"),
            of(y.diff(1), "diff"),
            of(y.pct_change(2), "change"),
            of(col("s").forward_fill(), "forward"),
            of(y.backward_fill(), "backward"),
            of(y.rolling(5).min_periods(2).mean(), "rolled"),
            of(i.rolling(4).min_periods(1).min(), "least"),
            of(i.rolling(4).max(), "most"),
            of(i.rolling(7).min_periods(3).sum(), "total"),
            of(y.rolling(6).min_periods(3).std(), "spread"),
        ]
    };
    check_within("in_order", &rows.select(all(false)), 1e-9);
    check_within("in_order_over", &rows.select(all(true)), 1e-9);
    let timed = rows.filter(col("t").is_not_null()).sort("t");
    let days = |n: u64| std::time::Duration::from_secs(n * 86_400);
    let found = timed.select([
        col("n"),
        y.rolling_by(col("t"), days(300)).mean().alias("mean"),
        i.rolling_by(col("t"), days(1000)).max().alias("most"),
        i.rolling_by(col("t"), days(90)).sum().fill_null(0).alias("total"),
    ]);
    check_within("rolling_by", &found, 1e-9);
    let later = timed.filter(i.gt(20));
    let pairs = timed.select(["t", "n"]).join_asof(&later.select(["t", "n"]), "t", [], None);
    check("join_asof", &pairs);
    let near = lit(700i64 * 86_400).cast(DataType::Duration(TimeUnit::Second));
    let of = |df: &DataFrame| df.filter(col("s").is_not_null()).select(["t", "s", "n"]);
    check("join_asof_by", &of(&timed).join_asof(&of(&later), "t", ["s"], Some(near)));
}

#[test]
fn lists_and_more_rows() {
    let (rows, right) = (rows(), file("right"));
    let by_k = |fold: Expr| rows.group_by("k").agg(fold).sort("k");
    check("top_k", &by_k(col("i").top_k(3)).explode("i"));
    check("bottom_k", &by_k(col("d").bottom_k(2)).explode("d"));
    check("collect_list", &by_k(col("w").collect_list()).explode("w"));
    check("prod", &by_k((col("i").clip(1, 3) % 3 + 1).cast(DataType::Float64).prod().alias("prod")));
    let other = right.select([col("v").alias("n"), col("k"), col("s")]);
    check("concat", &DataFrame::concat([&rows.select(["n", "k", "s"]), &other]));
    check("cross", &rows.head(40).select(["n", "s"]).cross_join(&right.select("v").head(13)));
    check("tail", &rows.tail(7));
    check("slice", &rows.slice(700, 50));
    check("nsmallest", &rows.nsmallest(6, "y"));
}

#[test]
fn numbers_and_conversions() {
    let rows = rows();
    let (i, u, x, y, b) = (col("i"), col("u").cast(DataType::Int32), col("x"), col("y"), col("b"));
    let found = rows.select([
        col("n"),
        (&y - 100).abs().alias("absolute"),
        y.round(1).alias("rounded"),
        i.clip(-10, 20).alias("clipped"),
        i.cast(DataType::Int64).pow(2).alias("squared"),
        (&y - 90).sqrt().alias("sqrt"),
        (&y / 50).exp().alias("exp"),
        y.log().alias("log"),
        x.floor().alias("floor"),
        x.ceil().alias("ceil"),
        i.floor_div(&u).alias("floor_div"),
        (&i % &u).alias("rem"),
        y.floor_div(&i / 4).alias("floor_div_f"),
        (&y % (&i / 4)).alias("rem_f"),
        (-&i).alias("negative"),
        when(i.gt(0)).then(&y).otherwise(&x).alias("chosen"),
        i.is_in([1, 2, 3, -7]).alias("is_in"),
        i.between(-5, 5).alias("between"),
        i.gt(0).and(&b).alias("both"),
        i.gt(0).or(&b).alias("either"),
    ]);
    check("numbers", &found);
    let casts = [
        col("n"),
        i.cast(DataType::Utf8).alias("text"),
        col("f").cast(DataType::Int32).alias("whole"),
        col("u").cast(DataType::Int64).alias("wide"),
        b.cast(DataType::Int8).alias("number"),
        col("t").dt().date().alias("day"),
        col("d").cast(DataType::Utf8).alias("date"),
        (&i % 3).cast(DataType::Boolean).alias("truth"),
        y.cast(DataType::Float32).alias("single"),
    ];
    check("casts", &rows.select(casts));
    let days = [
        col("n"),
        col("w").str().like("_a%").alias("like"),
        col("d").dt().is_month_start().alias("month_start"),
        col("d").dt().is_month_end().alias("month_end"),
        (col("t") - timestamp(1970, 1, 1, 0, 0, 0)).dt().total_seconds().alias("seconds"),
    ];
    check("days", &rows.select(days));
    check("nan_compare", &rows.filter(x.gt(0.5)));
    check("nan_median", &rows.group_by("k").agg(x.median().alias("median")).sort("k"));
}
