//! Verbs of frames at their edges: no rows, one row, names that meet, types without folds, and what their errors say.
#![cfg(feature = "frame")]

use blockwise::frame::arrow::array::{Array, AsArray, Decimal128Array, DictionaryArray};
use blockwise::frame::arrow::datatypes::Int32Type;
use blockwise::frame::{
    Column, DataFrame, DataType, Every, Expr, TimeUnit, col, concat_str, date, len, lit, selectors, timestamp,
};

fn table() -> DataFrame {
    DataFrame::from_columns([
        ("k", vec![Some("a"), Some("b"), None, Some("a")].into()),
        ("x", vec![Some(1.0), None, Some(3.0), Some(f64::NAN)].into()),
        ("n", vec![1i64, 2, 3, 4].into()),
    ])
}

fn error(frame: &DataFrame) -> String {
    match frame.collect() {
        Err(e) => e.to_string(),
        Ok(table) => panic!("no error:\n{table}"),
    }
}

#[test]
fn no_rows_and_one_row() {
    let (empty, one) = (table().head(0), table().head(1));
    assert_eq!(
        empty.describe().collect().unwrap().values::<f64>("n").unwrap()[..3],
        [Some(0.0), Some(0.0), None]
    );
    let described = one.describe().collect().unwrap();
    assert_eq!(described.values::<f64>("n").unwrap()[3], None);
    assert_eq!(described.values::<f64>("n").unwrap()[8], Some(1.0));
    let others =
        table().with_columns([col("n").gt(1).alias("b"), date(2024, 2, 29).alias("d")]).select(["b", "d"]);
    let others = others.describe().collect().unwrap();
    assert_eq!(others.texts("b").unwrap()[3..5], [None, Some("false".into())]);
    assert_eq!(others.texts("d").unwrap()[8], Some("2024-02-29".into()));
    assert_eq!(empty.group_by("k").transform(len()).num_rows().unwrap(), 0);
    assert_eq!(
        one.group_by("k").transform(len()).collect().unwrap().values::<i64>("len").unwrap(),
        [Some(1)]
    );
    assert_eq!(empty.sum().collect().unwrap().values::<i64>("n").unwrap(), [Some(0)]);
    assert_eq!(empty.mean().collect().unwrap().values::<f64>("n").unwrap(), [None]);
    assert_eq!(empty.unpivot(["x", "n"], ["k"]).num_rows().unwrap(), 0);
    assert_eq!(empty.pivot("k", "n", [1, 2], len()).num_rows().unwrap(), 0);
    assert_eq!(empty.pivot_eager("k", "n", len()).unwrap().columns().unwrap(), ["k"]);
    assert_eq!(empty.corr_matrix().collect().unwrap().values::<f64>("x").unwrap(), [None, None]);
    let days = empty.with_columns(date(2024, 1, 1).alias("d"));
    assert_eq!(days.resample("d", Every::days(1)).len().upsample("d", Every::days(1)).num_rows().unwrap(), 0);
    assert_eq!(empty.nlargest(3, "n").num_rows().unwrap(), 0);
    assert_eq!(empty.series("n").sum().unwrap(), 0.0);
    assert!(empty.series("n").mean().unwrap().is_nan());
    assert_eq!(empty.collect().unwrap().to_array(&["n"]).unwrap().shape(), [0, 1]);
}

#[test]
fn what_needs_one_pass_reads_once() {
    let df = table();
    let scans = |df: DataFrame| format!("{df:?}").matches("scan ").count();
    assert_eq!(scans(df.describe()), 1);
    assert_eq!(scans(df.corr_matrix()), 1);
    assert_eq!(scans(df.pivot("k", "n", 0..20, len())), 1);
    assert_eq!(scans(df.unpivot(["x", "n"], "k")), 1);
    // what is folded and joined back is read twice
    assert_eq!(scans(df.group_by("k").transform(len())), 2);
}

#[test]
fn new_columns_take_the_place_of_their_names() {
    // a fold under the name of a column, and under that of the key
    let found =
        table().group_by("k").transform([col("n").sum(), col("x").count().alias("k")]).collect().unwrap();
    assert_eq!(found.values::<i64>("n").unwrap(), [Some(5), Some(2), None, Some(5)]);
    assert_eq!(
        table().group_by("k").keep_nulls().transform(len()).columns().unwrap(),
        ["k", "x", "n", "len"]
    );
    // keys that are computed, of several types
    let every =
        table().group_by([(col("n") % 2).alias("odd"), col("x").is_null().alias("none")]).transform(len());
    let counts = every.collect().unwrap().values::<i64>("len").unwrap();
    assert_eq!(counts, [Some(2), Some(1), Some(2), Some(1)]);
    let renamed = table().rename_with(|n| format!("{n}_right"));
    assert_eq!(
        renamed.group_by("k_right").transform(len()).columns().unwrap(),
        ["k_right", "x_right", "n_right", "len"]
    );
    let days = table().with_columns(date(2024, 2, 29).alias("d"));
    let dated = days.group_by("d").keep_nulls().transform(len()).collect().unwrap();
    assert_eq!(dated.values::<i64>("len").unwrap(), [Some(4); 4]);
}

#[test]
fn errors_say_what_to_do_and_name_the_line() {
    let df = table();
    let line = line!() + 1;
    let bad = df.resample("n", Every::days(1)).len();
    assert!(error(&bad).contains(&format!("frame_verbs_edges.rs:{line}")), "{}", error(&bad));
    let twice = df.rename_with(|_| "same".into());
    let words = df.select("k");
    let stamp = col("t").dt();
    let days = df.with_columns(timestamp(2024, 1, 1, 0, 0, 0).alias("t"));
    for (bad, want) in [
        (bad, "takes dates and timestamps, not Int64"),
        (twice, "two columns would be called"),
        (words.mean(), "mean is defined for none of the columns (k: Utf8)"),
        (words.corr_matrix(), "no column of numbers"),
        (df.quantile(2.0), "2 is not between 0 and 1"),
        (df.rename([("k", "statistic")]).describe(), "called \"statistic\" already"),
        (df.fill_null(col("x")), "x is no value"),
        (df.unpivot(["k", "n"], ["x"]), "do not mix in one column"),
        (df.unpivot([col("n") + 1], ["x"]), "no column's name"),
        (df.unpivot(Vec::<&str>::new(), ["x"]), "no column to put under others"),
        (df.unpivot_as(["n"], ["x"], "x", "value"), "two columns would be called \"x\""),
        (df.pivot("k", "n", [1], col("x")), "fold it"),
        (df.pivot("k", "m", [1], len()), "there is no column \"m\""),
        (df.pivot("k", "n", [1, 1], len()), "two columns would be called \"1\""),
        (df.pivot("k", "n", [col("x")], len()), "x is no value"),
        (df.group_by("k").transform(col("x")), "many values a group"),
        (df.series("y").to_frame(), "there is no column \"y\""),
        (df.select_dtypes(selectors::matches("(")), "regex parse error"),
        (df.select(col("k").str().extract("(", 0)), "regex parse error"),
        (df.cast([("kk", DataType::Int64)]), "did you mean \"k\""),
        (days.select(stamp.truncate(Every::months(0))), "0mo is no time; give 1 or more"),
        (days.select(stamp.convert_time_zone("Mars/Olympus")), "\"Mars/Olympus\" is no time zone"),
        (days.select(stamp.strftime("%Q")), "\"%Q\" is no format of strftime"),
        (df.select(col("k").str().to_date("%Y")), "str.to_date: \"a\" is none written as \"%Y\""),
        (df.select(col("k").str().repeat(usize::MAX / 2)), "bytes of text in one batch are too many"),
        (df.select(col("k").str().pad_end(1 << 40, ' ')), "bytes of text in one batch are too many"),
        (words.group_by("k").mean(), "mean is defined for none of the columns ()"),
        (df.select(col("n").str().to_uppercase()), "takes text, not Int64; cast it before"),
        (df.select(col("k").dt().year()), "takes dates and times, not Utf8"),
    ] {
        let e = error(&bad);
        assert!(e.contains(want), "{want}: {e}");
    }
    let e = "3 weeks".parse::<Every>().unwrap_err().to_string();
    assert!(e.contains("\"3 weeks\" is no span of time; write it like 15m"), "{e}");
    assert!("".parse::<Every>().is_err() && "m".parse::<Every>().is_err() && "-1d".parse::<Every>().is_err());
    let e = df.series("n").fold::<i64>(|n| n + 1).unwrap_err().to_string();
    assert!(e.contains("has a value for every row"), "{e}");
    let table = df.with_columns(col("x").is_null().alias("b")).collect().unwrap();
    for (names, want) in [
        (vec!["k"], "k: is Utf8, not a number"),
        (vec!["zz"], "no column \"zz\""),
        (vec![], "no columns are named"),
    ] {
        let e = table.to_array(&names).unwrap_err().to_string();
        assert!(e.contains(want), "{e}");
    }
    let holes = DataFrame::from_columns([("i", vec![Some(1), None].into())]).collect().unwrap();
    let e = holes.to_array(&["i"]).unwrap_err().to_string();
    assert!(e.contains("has 1 nulls, which an array of i32 cannot hold; fill_null"), "{e}");
    let cube = blockwise::Array::full(&[2, 2, 2], 1.0);
    assert!(DataFrame::from_array(&cube, &["a"]).unwrap_err().to_string().contains("3 axes"));
    let pair = blockwise::Array::full(&[2, 2], 1.0);
    assert!(DataFrame::from_array(&pair, &["a"]).unwrap_err().to_string().contains("2 columns and 1 names"));
}

#[test]
fn parsing_does_not_see_rows_that_a_filter_took_away() {
    let df = DataFrame::from_columns([("s", vec!["1.2.2024", "?", "3.4.2025"].into())]);
    let days = df.filter(col("s").ne("?")).with_columns(col("s").str().to_date("%d.%m.%Y").alias("d"));
    let late = days.filter(col("d").gt(date(2024, 12, 31)));
    assert_eq!(late.collect().unwrap().texts("s").unwrap(), [Some("3.4.2025".into())]);
    let times =
        DataFrame::from_columns([("s", vec!["2024-01-01 12:30 +0200", "2024-01-01 00:00 -0100"].into())]);
    let utc = times.select(col("s").str().to_timestamp("%Y-%m-%d %H:%M %z").dt().hour()).collect().unwrap();
    assert_eq!(utc.values::<i32>("s").unwrap(), [Some(10), Some(1)]);
}

#[test]
fn spans_of_a_zone_are_filled_across_changes_of_its_clocks() {
    let hours = |day: Expr, n: i64, every: Every| {
        let seconds = (0..n).map(|h| h * 1800).collect::<Vec<i64>>();
        let df = DataFrame::from_columns([("s", seconds.into())]);
        let passed = col("s").cast(DataType::Duration(TimeUnit::Second));
        let t = (day + passed).alias("t");
        let t = df.select(t).with_columns(col("t").dt().convert_time_zone("Europe/Berlin"));
        let found = t.resample("t", every).len();
        // every other span taken out, and put back
        let whole = found.sort("t").collect().unwrap();
        let times = whole.values::<i64>("t").unwrap();
        let ends = [times[0].unwrap(), times[times.len() - 1].unwrap()];
        let gone = found.filter(col("t").cast(DataType::Int64).is_in(ends)).upsample("t", every);
        assert_eq!(gone.collect().unwrap().values::<i64>("t").unwrap(), times, "{every}");
        times.len()
    };
    let autumn = || timestamp(2024, 10, 26, 20, 0, 0);
    let spring = || timestamp(2024, 3, 30, 20, 0, 0);
    // 30 hours from 22 o'clock
    assert_eq!(hours(autumn(), 60, Every::hours(1)), 30);
    assert_eq!(hours(spring(), 60, Every::hours(1)), 30);
    assert_eq!(hours(autumn(), 60, Every::days(1)), 3);
    assert_eq!(hours(spring(), 60, Every::days(1)), 3);
    assert_eq!(hours(spring(), 2 * 24 * 70, Every::months(1)), 4);
    assert_eq!(hours(autumn(), 60, Every::minutes(30)), 60);
}

#[test]
fn the_ends_of_time_are_no_panic() {
    let ends = vec![i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX];
    let spans = [
        Every::seconds(7),
        Every::weeks(u32::MAX),
        Every::months(5),
        Every::years(u32::MAX),
        Every::years(100),
    ];
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        let df = DataFrame::from_columns([("t", ends.clone().into())])
            .cast([("t", DataType::Timestamp(unit, None))]);
        for zone in ["UTC", "America/New_York", "+14:00"] {
            let df = df.with_columns(col("t").dt().convert_time_zone(zone));
            for every in spans {
                let t = col("t").dt();
                let moved =
                    [t.truncate(every).alias("a"), t.round(every).alias("b"), t.ceil(every).alias("c")];
                assert_eq!(df.select(moved).num_rows().unwrap(), 6);
                // what has no calendar is null or an error, in words
                for part in
                    [t.month_end(), t.strftime("%Y"), t.replace_time_zone(Some("Asia/Tokyo")), t.iso_year()]
                {
                    if let Err(e) = df.select(part).collect() {
                        assert!(
                            !e.to_string().contains("panicked") && !e.to_string().contains("internal"),
                            "{e}"
                        );
                    }
                }
            }
        }
    }
    let far = DataFrame::from_columns([("t", ends.into())])
        .cast([("t", DataType::Timestamp(TimeUnit::Second, None))]);
    let e = error(&far.resample("t", Every::seconds(1)).len().upsample("t", Every::seconds(1)));
    assert!(e.contains("more than 10000000 spans of 1s; take longer ones"), "{e}");
}

#[test]
fn times_of_any_unit_are_filled() {
    let df = DataFrame::from_columns([("n", vec![Some(5i64), None].into())]);
    let as_type = |t| col("n").cast(t);
    let df = df.with_columns([
        as_type(DataType::Timestamp(TimeUnit::Microsecond, None)).alias("us"),
        as_type(DataType::Timestamp(TimeUnit::Second, Some("UTC".into()))).alias("zone"),
        col("n").cast(DataType::Int32).cast(DataType::Date32).alias("day"),
    ]);
    let filled = df.fill_null(timestamp(1970, 1, 2, 0, 0, 0)).collect().unwrap();
    assert_eq!(filled.values::<i64>("us").unwrap(), [Some(5), Some(86_400_000_000)]);
    // a time is no day, and one without a zone no instant
    assert_eq!(filled.values::<i32>("day").unwrap(), [Some(5), None]);
    assert_eq!(filled.values::<i64>("zone").unwrap(), [Some(5), None]);
    assert_eq!(filled.values::<i64>("n").unwrap(), [Some(5), None]);
    let filled = df.fill_null(date(1970, 1, 2)).collect().unwrap();
    assert_eq!(filled.values::<i32>("day").unwrap(), [Some(5), Some(1)]);
    assert_eq!(filled.values::<i64>("us").unwrap(), [Some(5), Some(86_400_000_000)]);
}

#[test]
fn groups_fold_all_columns() {
    let df = table();
    let sums = df.group_by("k").sum();
    assert_eq!(sums.columns().unwrap(), ["k", "x", "n"]);
    assert_eq!(sums.collect().unwrap().values::<i64>("n").unwrap(), [Some(5), Some(2)]);
    let by_two = df.group_by([col("k"), (col("n") % 2).alias("n")]).keep_nulls();
    assert_eq!(by_two.max().columns().unwrap(), ["k", "n", "x"]);
    let first = df.group_by("n").first().collect().unwrap();
    assert_eq!(first.texts("k").unwrap()[3], Some("a".into()));
    for (folded, want) in [
        (df.group_by("k").mean(), [Some(2.5), Some(2.0)]),
        (df.group_by("k").median(), [Some(2.5), Some(2.0)]),
        (df.group_by("k").std(), [Some(4.5f64.sqrt()), None]),
        (df.group_by("k").var(), [Some(4.5), None]),
    ] {
        assert_eq!(folded.collect().unwrap().values::<f64>("n").unwrap(), want);
    }
    for (folded, want) in
        [(df.group_by("k").count(), [Some(2), Some(0)]), (df.group_by("k").n_unique(), [Some(2), Some(0)])]
    {
        assert_eq!(folded.collect().unwrap().values::<i64>("x").unwrap(), want);
    }
    assert_eq!(df.group_by("k").min().collect().unwrap().values::<i64>("n").unwrap(), [Some(1), Some(2)]);
    assert_eq!(df.group_by("k").last().collect().unwrap().values::<i64>("n").unwrap(), [Some(4), Some(2)]);
}

#[test]
fn selectors_choose_columns() {
    let df = table().with_columns([
        date(2024, 1, 1).alias("day"),
        col("n").gt(2).alias("flag"),
        col("k").to_categorical().alias("kind"),
    ]);
    let names = |s| df.select_dtypes(s).columns().unwrap();
    assert_eq!(names(selectors::all()), ["k", "x", "n", "day", "flag", "kind"]);
    assert_eq!(names(selectors::numeric()), ["x", "n"]);
    assert_eq!(names(selectors::integer() | selectors::temporal()), ["n", "day"]);
    assert_eq!(names(selectors::float()), ["x"]);
    assert_eq!(names(selectors::text()), ["k", "kind"]);
    assert_eq!(names(selectors::text() & !selectors::by_name(["k"])), ["kind"]);
    assert_eq!(names(selectors::boolean()), ["flag"]);
    assert_eq!(names(selectors::by_dtype([DataType::Int64, DataType::Date32])), ["n", "day"]);
    assert_eq!(names(selectors::fields(|f| f.name().len() == 1)), ["k", "x", "n"]);
    let doubled = df.with_columns_of(selectors::matches("^[xn]$"), |c| c * 2).collect().unwrap();
    assert_eq!(doubled.values::<i64>("n").unwrap(), [Some(2), Some(4), Some(6), Some(8)]);
    let added = df.with_columns_of(selectors::float(), |c| c.is_nan().alias("nan"));
    assert_eq!(added.columns().unwrap(), ["k", "x", "n", "day", "flag", "kind", "nan"]);
}

#[test]
fn a_series_is_a_column_and_what_is_made_of_it() {
    let df = table();
    let (x, n) = (df.series("x"), df.series("n"));
    assert_eq!(n.name(), "n");
    assert_eq!(n.data_type().unwrap(), DataType::Int64);
    let sum = (&x + &n).rename("sum");
    assert_eq!(sum.to_frame().columns().unwrap(), ["sum"]);
    assert_eq!(sum.head(3).to_vec::<f64>().unwrap(), [Some(2.0), None, Some(6.0)]);
    assert_eq!((n.clone() * 2 - 1).to_vec::<i64>().unwrap(), [Some(1), Some(3), Some(5), Some(7)]);
    assert_eq!((&n % 2).unique().len().unwrap(), 2);
    assert_eq!((n.sum().unwrap(), n.min().unwrap(), n.max().unwrap()), (10.0, 1.0, 4.0));
    assert_eq!((n.median().unwrap(), n.quantile(0.25).unwrap()), (2.5, 1.75));
    assert_eq!((x.count().unwrap(), x.len().unwrap(), df.series("k").n_unique().unwrap()), (3, 4, 2));
    assert_eq!(n.fold::<i64>(|n| (n * 2).max()).unwrap(), Some(8));
    assert_eq!(
        df.series("k").value_counts().collect().unwrap().values::<i64>("count").unwrap(),
        [Some(2), Some(1)]
    );
    assert_eq!(df.series("k").categories().unwrap(), ["a", "b"]);
    assert_eq!(df.series("k").sort().to_texts().unwrap()[3], None);
    assert_eq!(n.filter(col("x").is_null()).to_vec::<i64>().unwrap(), [Some(2)]);
    assert_eq!(df.select([&n, &sum]).columns().unwrap(), ["n", "sum"]);
    assert_eq!(df.series("k").map(|k| k.str().to_uppercase()).to_texts().unwrap()[0], Some("A".into()));
    assert!(df.series("k").sum().unwrap_err().to_string().contains("sum"), "text has no sum");
    assert!(format!("{n:?}").contains("n as n of"));
}

#[test]
fn categories_are_text() {
    let df = table().with_columns(col("k").to_categorical());
    let found = df.collect().unwrap().column("k").unwrap();
    let dictionary: &DictionaryArray<Int32Type> = found.as_dictionary();
    assert_eq!(dictionary.values().len(), 2);
    assert_eq!(df.filter(col("k").eq("a")).num_rows().unwrap(), 2);
    assert_eq!(df.group_by("k").len().collect().unwrap().values::<i64>("len").unwrap(), [Some(2), Some(1)]);
    let codes = df.select(col("k").cat().codes(["b", "a"])).collect().unwrap();
    assert_eq!(codes.values::<i32>("k").unwrap(), [Some(1), Some(0), None, Some(1)]);
    let fewer = df.select(col("k").cat().set_categories(["b", "c"])).collect().unwrap();
    assert_eq!(fewer.texts("k").unwrap(), [None, Some("b".into()), None, None]);
    let sorted = df.sort(col("k").cat().codes(["b", "a"]).ascending()).collect().unwrap();
    assert_eq!(sorted.values::<i64>("n").unwrap(), [Some(2), Some(1), Some(4), Some(3)]);
}

#[test]
fn decimals_are_kept_compared_and_cast() {
    let prices = Decimal128Array::from(vec![Some(1050), None, Some(-299), Some(1050)]);
    let prices = prices.with_precision_and_scale(10, 2).unwrap();
    let df = DataFrame::from_columns([("price", Column::new(prices)), ("n", vec![1, 2, 3, 4].into())]);
    let kept = |mask: Expr| df.filter(mask).collect().unwrap().values::<i32>("n").unwrap();
    assert_eq!(kept(col("price").gt(10)), [Some(1), Some(4)]);
    assert_eq!(kept(col("price").le("10.49")), [Some(3)]);
    assert_eq!(kept(col("price").eq(lit(10.5).cast(DataType::Decimal128(10, 2)))), [Some(1), Some(4)]);
    assert_eq!(kept(col("price").is_null()), [Some(2)]);
    let floats = df.select(col("price").cast(DataType::Float64).sum()).collect().unwrap();
    assert_eq!(floats.values::<f64>("price").unwrap(), [Some(10.5 - 2.99 + 10.5)]);
    assert_eq!(
        df.sort("price").collect().unwrap().values::<i32>("n").unwrap(),
        [Some(3), Some(1), Some(4), Some(2)]
    );
    for (bad, want) in [
        (
            df.select(col("price").prod()),
            "prod is not defined for Decimal128(10, 2); cast it to Float64 before",
        ),
        (df.select(col("price").top_k(2)), "top_k(2) is not defined for Decimal128(10, 2)"),
        (df.select(col("price").sqrt()), "sqrt is not defined for Decimal128(10, 2); cast it to Float64"),
        (df.filter(col("price").gt(true)), "Boolean and Decimal128(10, 2) do not mix; cast one of them"),
    ] {
        assert!(error(&bad).contains(want), "{}", error(&bad));
    }
}

#[test]
fn functions_of_yours_for_every_value() {
    let df = table();
    let roots = df.select(col("n").map_elements(|n: f64| (n > 1.0).then(|| n.sqrt()))).collect().unwrap();
    assert_eq!(roots.values::<f64>("n").unwrap(), [None, Some(2f64.sqrt()), Some(3f64.sqrt()), Some(2.0)]);
    let odd = df.filter(col("n").map_elements(|n: i64| Some(n % 2 == 1))).collect().unwrap();
    assert_eq!(odd.values::<i64>("n").unwrap(), [Some(1), Some(3)]);
    let words = df.select(col("n").str().map(|s| Some(s.repeat(2)))).collect().unwrap();
    assert_eq!(words.texts("n").unwrap()[1], Some("22".into()));
    let e = error(&df.select(col("k").map_elements(|n: i64| Some(n))));
    assert!(e.contains("'a'"), "{e}");
    assert!(
        error(&df.select(col("k") + "z")).contains("add is not defined for Utf8 and Utf8; concat_str puts")
    );
    let parts = df.select(concat_str([col("k"), col("n"), lit("z")], "").alias("all")).collect().unwrap();
    assert_eq!(
        parts.texts("all").unwrap(),
        [Some("a1z".into()), Some("b2z".into()), None, Some("a4z".into())]
    );
}

#[test]
fn text_at_its_edges() {
    let df =
        DataFrame::from_columns([("s", vec![Some(""), Some("ß"), Some("-7"), Some("Ab cD"), None].into())]);
    let s = col("s").str();
    let show = |e: Expr| {
        let found = df.select(e.cast(DataType::Utf8).alias("s")).collect().unwrap().texts("s").unwrap();
        found.into_iter().map(|v| v.unwrap_or("null".into())).collect::<Vec<_>>().join("|")
    };
    assert_eq!(show(s.capitalize()), "|SS|-7|Ab cd|null");
    assert_eq!(show(s.swapcase()), "|SS|-7|aB Cd|null");
    assert_eq!(show(s.center(4, '.')), "....|.ß..|.-7.|Ab cD|null");
    assert_eq!(show(s.zfill(4)), "0000|000ß|-007|Ab cD|null");
    assert_eq!(show(s.slice(-3, 2)), "||-| c|null");
    assert_eq!(show(s.split_part(" ", -2)), "null|null|null|Ab|null");
    assert_eq!(show(s.find("")), "0|0|0|0|null");
    assert_eq!(show(s.rfind("D")), "null|null|null|4|null");
    assert_eq!(show(s.is_lowercase()), "false|true|false|false|null");
    assert_eq!(show(s.is_uppercase()), "false|false|false|false|null");
    assert_eq!(show(s.is_alphabetic()), "false|true|false|false|null");
    assert_eq!(show(s.is_alphanumeric()), "false|true|false|false|null");
    assert_eq!(show(s.is_digit()), "false|false|false|false|null");
    assert_eq!(show(s.is_numeric()), "false|false|false|false|null");
    assert_eq!(show(s.is_whitespace()), "false|false|false|false|null");
    assert_eq!(show(s.replace("", "x")), "|ß|-7|Ab cD|null");
    assert_eq!(show(lit("a").str().to_uppercase()), "A|A|A|A|A");
}

#[test]
fn a_pivot_tells_null_from_a_text_that_is_written_so() {
    let df = DataFrame::from_columns([
        ("k", vec![1, 1, 1, 1].into()),
        ("on", vec![Some("null"), None, Some("null_2"), Some("a")].into()),
        ("v", vec![1i64, 2, 4, 8].into()),
    ]);
    let wide = df.pivot_eager("k", "on", col("v").sum()).unwrap();
    assert_eq!(wide.columns().unwrap(), ["k", "a", "null", "null_2", "null_3"]);
    let table = wide.collect().unwrap();
    for (name, want) in [("a", 8), ("null", 1), ("null_2", 4), ("null_3", 2)] {
        assert_eq!(table.values::<i64>(name).unwrap(), [Some(want)], "{name}");
    }
    let plain = df.filter(col("v").ne(1)).pivot_eager("k", "on", col("v").sum()).unwrap();
    assert_eq!(plain.columns().unwrap(), ["k", "a", "null_2", "null"]);
}

#[test]
fn offsets_of_every_form_are_read() {
    let read = |text: &str, format: &str| {
        let df = DataFrame::from_columns([("s", vec![text].into())]);
        let times = df.select(col("s").str().to_timestamp(format).cast(DataType::Int64)).collect();
        times.map(|t| t.values::<i64>("s").unwrap()[0].unwrap() / 1_000_000)
    };
    // noon in UTC
    for (text, format) in [
        ("1970-01-01 14:00 +0200", "%Y-%m-%d %H:%M %z"),
        ("1970-01-01 14:00 +02:00", "%Y-%m-%d %H:%M %:z"),
        ("1970-01-01 14:00 +02:00:00", "%Y-%m-%d %H:%M %::z"),
        ("1970-01-01 10:00:30-01:59:30", "%Y-%m-%d %H:%M:%S%::z"),
        ("+02:00:30 1970-01-01 14:00:30", "%::z %Y-%m-%d %H:%M:%S"),
        ("1970-01-01 14:00 +02:00", "%Y-%m-%d %H:%M %::z"),
        ("1970-01-01 14:00 +02", "%Y-%m-%d %H:%M %#z"),
        ("1970-01-01T14:00:00+02:00", "%+"),
    ] {
        assert_eq!(read(text, format).unwrap(), 43_200, "{text} by {format}");
    }
    // a percent sign and a letter are no offset
    assert_eq!(read("1970-01-01 12:00 %z", "%Y-%m-%d %H:%M %%z").unwrap(), 43_200);
    assert!(read("1970-01-01 14:00 +02:00:61", "%Y-%m-%d %H:%M %::z").is_err());
    assert!(read("1970-01-01 14:00 +02:00x", "%Y-%m-%d %H:%M %::z").is_err());
}

#[test]
fn an_hour_that_comes_twice_is_rounded_in_its_own_half() {
    // Berlin, 2024-10-27: clocks go from 3 back to 2 at 1:00 UTC
    let minutes = |utc: &[i64]| utc.iter().map(|m| m * 60).collect::<Vec<i64>>();
    let start = || timestamp(2024, 10, 27, 0, 0, 0);
    let at = minutes(&[-10, 0, 20, 40, 59, 60, 80, 100, 119, 120, 130]);
    let df = DataFrame::from_columns([("s", at.into())]);
    let t = (start() + col("s").cast(DataType::Duration(TimeUnit::Second)))
        .dt()
        .convert_time_zone("Europe/Berlin");
    let df = df.select(t.alias("t"));
    let passed = |e: Expr| {
        let from = start().dt().convert_time_zone("Europe/Berlin");
        let df =
            df.select((e - from).cast(DataType::Duration(TimeUnit::Second)).cast(DataType::Int64).alias("t"));
        df.collect()
            .unwrap()
            .values::<i64>("t")
            .unwrap()
            .into_iter()
            .map(|s| s.unwrap() / 60)
            .collect::<Vec<i64>>()
    };
    let hour = Every::hours(1);
    assert_eq!(passed(col("t").dt().truncate(hour)), [-60, 0, 0, 0, 0, 60, 60, 60, 60, 120, 120]);
    assert_eq!(passed(col("t").dt().ceil(hour)), [0, 0, 60, 60, 60, 60, 120, 120, 120, 120, 180]);
    assert_eq!(passed(col("t").dt().round(hour)), [0, 0, 0, 60, 60, 60, 60, 120, 120, 120, 120]);
    let quarter = Every::minutes(30);
    assert_eq!(passed(col("t").dt().ceil(quarter)), [0, 0, 30, 60, 60, 60, 90, 120, 120, 120, 150]);
    // a day of 25 hours ends once
    assert_eq!(passed(col("t").dt().ceil(Every::days(1))), [23 * 60; 11]);
}
