//! Frames that are asked for too much: text that explodes, expressions that are deep or share their parts, masks that must not see each
//! other's rows.
#![cfg(feature = "frame")]

use blockwise::frame::arrow::array::{Decimal128Array, DictionaryArray, StringArray};
use blockwise::frame::arrow::datatypes::Int32Type;
use blockwise::frame::{Column, DataFrame, DataType, Expr, JoinKind, col, concat_str, date, len, when};
use blockwise::prelude::ErrorKind;

fn error(frame: &DataFrame) -> blockwise::Error {
    match frame.collect() {
        Err(e) => e,
        Ok(table) => panic!("no error: {} rows", table.num_rows()),
    }
}

#[test]
fn text_that_explodes_is_an_error() {
    let long = "a".repeat(1 << 20);
    let df = DataFrame::from_columns([("s", vec![long.as_str(), "b"].into())]);
    let s = || col("s").str();
    let many = DataFrame::from_columns([("s", vec!["a".repeat(1 << 10); 400].into())]);
    for (frame, name) in [
        (df.select(s().replace("a", &"x".repeat(1000))), "str.replace"),
        (df.select(s().replace_regex("a+", &"$0".repeat(1000))), "str.replace_regex"),
        (df.select(concat_str(vec![col("s"); 400], "")), "str.concat"),
        (df.select(s().repeat(1000)), "str.repeat"),
        (df.select(s().repeat(usize::MAX)), "str.repeat"),
        (df.select(s().pad_start(usize::MAX, 'ü')), "str.pad_start"),
        (df.select(s().center(1 << 30, '.')), "str.center"),
        (df.select(s().zfill(1 << 30)), "str.zfill"),
        (many.select(s().map(|s| Some(s.repeat(1000)))), "str.map"),
    ] {
        let e = error(&frame);
        let ErrorKind::Value { op, message } = e.kind() else { panic!("{e}") };
        assert_eq!(op, name);
        assert!(message.contains("268435456") && message.contains("slice"), "{message}");
    }
    // formats and categories explode too
    let days =
        DataFrame::from_columns([("n", vec![1; 30_000].into())]).with_columns(date(2024, 1, 1).alias("d"));
    let e = error(&days.select(col("d").dt().strftime(&"x".repeat(10_000)))).to_string();
    assert!(e.starts_with("dt.strftime: ") && e.contains("268435456"), "{e}");
    let keys = vec![0; 400].into_iter().map(Some).collect::<blockwise::frame::arrow::array::Int32Array>();
    let values = StringArray::from(vec![long]);
    let categories = DictionaryArray::<Int32Type>::new(keys, std::sync::Arc::new(values));
    let df = DataFrame::from_columns([("s", Column::new(categories))]);
    assert!(error(&df.select(s().to_uppercase())).to_string().contains("268435456"));
    // nothing is made of it: no error
    assert_eq!(df.select(s().len_bytes()).head(0).num_rows().unwrap(), 0);
}

#[test]
fn text_of_bounded_functions_is_right() {
    let df = DataFrame::from_columns([("s", vec![Some("-aXbX"), None, Some(""), Some("ü")].into())]);
    let s = || col("s").str();
    let texts = |e: Expr| df.select(e).collect().unwrap().texts("s").unwrap();
    let owned = |all: [Option<&str>; 4]| all.map(|s| s.map(str::to_owned)).to_vec();
    assert_eq!(texts(s().replace("X", "yy")), owned([Some("-ayybyy"), None, Some(""), Some("ü")]));
    assert_eq!(texts(s().replace("", "yy")), owned([Some("-aXbX"), None, Some(""), Some("ü")]));
    assert_eq!(
        texts(s().replace_regex("([a-z])X", "<$1$$>")),
        owned([Some("-<a$><b$>"), None, Some(""), Some("ü")])
    );
    assert_eq!(
        texts(s().replace_regex("x*", "_")),
        owned([Some("_-_a_X_b_X_"), None, Some("_"), Some("_ü_")])
    );
    assert_eq!(texts(s().repeat(2)), owned([Some("-aXbX-aXbX"), None, Some(""), Some("üü")]));
    assert_eq!(texts(s().repeat(0)), owned([Some(""), None, Some(""), Some("")]));
    assert_eq!(texts(s().pad_start(6, 'é')), owned([Some("é-aXbX"), None, Some("éééééé"), Some("éééééü")]));
    assert_eq!(texts(s().center(4, '.')), owned([Some("-aXbX"), None, Some("...."), Some(".ü..")]));
    assert_eq!(texts(s().zfill(7)), owned([Some("-00aXbX"), None, Some("0000000"), Some("000000ü")]));
    assert_eq!(
        texts(s().concat(["+".into(), col("s")])),
        owned([Some("-aXbX+-aXbX"), None, Some("+"), Some("ü+ü")])
    );
    // categories with an unused null among their values
    let values = StringArray::from(vec![Some("a"), None, Some("b")]);
    let keys =
        [Some(2), Some(1), None, Some(0)].into_iter().collect::<blockwise::frame::arrow::array::Int32Array>();
    let categories = DictionaryArray::<Int32Type>::new(keys, std::sync::Arc::new(values));
    let df = DataFrame::from_columns([("s", Column::new(categories))]);
    let up = df.select(s().to_uppercase()).collect().unwrap();
    assert_eq!(up.texts("s").unwrap(), owned([Some("B"), None, None, Some("A")]));
}

#[test]
fn shared_parts_are_planned_once() {
    let df = DataFrame::from_columns([("x", vec![1.0, 2.0].into()), ("k", vec![1, 1].into())]);
    let doubled = |mut e: Expr| {
        for _ in 0..40 {
            e = &e + &e;
        }
        e
    };
    let e = doubled(col("x"));
    let wide = df.select(&e);
    assert_eq!(wide.schema().unwrap().field(0).name(), "x");
    let two_to_40 = (1u64 << 40) as f64;
    assert_eq!(wide.collect().unwrap().values::<f64>("x").unwrap(), [Some(two_to_40), Some(2.0 * two_to_40)]);
    let shown = wide.explain().unwrap();
    assert!(shown.len() < 20_000 && shown.contains('…'), "{}", shown.len());
    assert!(format!("{:?}", e.str().len_chars()).ends_with('…'));
    let wrong = df.select(doubled(col("x")).str().to_uppercase()).schema().unwrap_err().to_string();
    assert!(wrong.len() < 5_000 && wrong.contains("takes text"), "{wrong}");
    // of constants alone, in masks, folds, choices, groups and through projections
    assert_eq!(
        df.select(doubled(1.0.into())).collect().unwrap().values::<f64>("literal").unwrap()[0],
        Some(two_to_40)
    );
    let mut mask = col("x").gt(1.0);
    for _ in 0..40 {
        mask = mask.clone().and(&mask);
    }
    assert_eq!(df.filter(mask).num_rows().unwrap(), 1);
    let (mut either, mut always) = (col("x").gt(1.0), Expr::from(true));
    for _ in 0..40 {
        either = either.clone().or(either.clone().and(&always));
        always = always.clone().and(always.clone().or(true));
    }
    assert_eq!(df.filter(either.or(!always)).num_rows().unwrap(), 1);
    let folded =
        df.group_by("k").agg([e.sum().alias("s"), doubled(col("x").max()).alias("m")]).collect().unwrap();
    assert_eq!(folded.values::<f64>("s").unwrap(), [Some(3.0 * two_to_40)]);
    assert_eq!(folded.values::<f64>("m").unwrap(), [Some(2.0 * two_to_40)]);
    let shifted = df.select(doubled(col("x").cum_sum())).collect().unwrap();
    assert_eq!(shifted.values::<f64>("x").unwrap()[1], Some(3.0 * two_to_40));
    let mut choice = col("x");
    for _ in 0..40 {
        choice = when(choice.gt(0.0)).then(&choice).otherwise(&choice);
    }
    assert_eq!(df.select(choice).collect().unwrap().values::<f64>("x").unwrap()[1], Some(2.0));
    let mut frame = df.clone();
    for _ in 0..40 {
        frame = frame.with_columns((col("x") + col("x")).alias("x"));
    }
    assert_eq!(frame.filter(col("x").gt(two_to_40)).num_rows().unwrap(), 1);
    // masks, of columns and of values alone
    let (mut any, mut known, mut all) = (col("x").gt(1.0), Expr::from(3) + 1, col("x").gt(0.0));
    for _ in 0..40 {
        (any, known, all) = (any.or(&any), &known - &known + 2, !(!&all).or(!&all));
    }
    assert_eq!(df.filter(any).num_rows().unwrap(), df.filter(col("x").gt(1.0)).num_rows().unwrap());
    assert_eq!(df.filter(known.eq(2)).num_rows().unwrap(), df.num_rows().unwrap());
    assert_eq!(df.filter(all).num_rows().unwrap(), df.filter(col("x").gt(0.0)).num_rows().unwrap());
    // equal parts that are not one are computed once too
    let text = || col("x").cast(DataType::Utf8).str().len_chars();
    let twice = df.select((text() + text()).alias("n"));
    assert_eq!(twice.collect().unwrap().values::<i32>("n").unwrap(), [Some(6), Some(6)]);
    assert!(twice.explain().unwrap().contains("2 functions"), "{}", twice.explain().unwrap());
}

#[test]
fn deep_expressions_work_to_a_limit() {
    let df = DataFrame::from_columns([("x", vec![1i64, 2].into()), ("s", vec!["a", "b"].into())]);
    let sum = |n: i64| (0..n).fold(col("x"), |e, _| e + 1);
    let deep = df.filter(sum(990).gt(991)).select(sum(990));
    assert_eq!(deep.collect().unwrap().values::<i64>("x").unwrap(), [Some(992)]);
    assert_eq!(df.select(sum(990).sum()).collect().unwrap().values::<i64>("x").unwrap(), [Some(1983)]);
    let upper = (0..990).fold(col("s"), |e, _| e.str().trim());
    assert_eq!(df.select(upper).collect().unwrap().texts("s").unwrap(), [Some("a".into()), Some("b".into())]);
    assert!(sum(990).to_string().ends_with('…'));
    for e in [sum(1000), sum(100_000), (0..100_000).fold(col("x"), |e, k| e.alias(format!("c{}", k % 7)))] {
        let e = df.select(e).schema().unwrap_err().to_string();
        assert!(e.contains("more than 1000 operations") && e.contains("with_columns"), "{e}");
    }
    // many are joined in pairs, and many masks are one filter
    let values: Vec<i64> = (0..20_000).collect();
    assert_eq!(df.filter(col("x").is_in(values)).num_rows().unwrap(), 2);
    let filtered = (0..200).fold(df.clone(), |df, k| df.filter(col("x").ne(k + 2)));
    assert_eq!(filtered.collect().unwrap().values::<i64>("x").unwrap(), [Some(1)]);
    // what would be too deep together stays apart
    let twice = df.with_columns(sum(600).alias("y")).filter((0..600).fold(col("y"), |e, _| e + 1).gt(1201));
    assert_eq!(twice.collect().unwrap().values::<i64>("x").unwrap(), [Some(2)]);
}

#[test]
fn what_overflows_does_not_see_rows_that_a_filter_took() {
    let huge = 10i128.pow(30);
    let d = Decimal128Array::from(vec![5, huge, 7]).with_precision_and_scale(38, 0).unwrap();
    let df = DataFrame::from_columns([("d", Column::new(d)), ("k", vec![1, 2, 3].into())]);
    let square = || col("d") * col("d");
    assert!(error(&df.filter(square().lt(40))).to_string().contains("overflow"));
    let few = df.filter(col("d").lt(10)).filter(square().lt(40));
    assert_eq!(few.collect().unwrap().values::<i32>("k").unwrap(), [Some(1)]);
    let mean = df.filter(col("d").lt(10)).select(square().mean());
    assert_eq!(mean.collect().unwrap().values::<f64>("d").unwrap(), [Some(37.0)]);
    let other = DataFrame::from_columns([("k", vec![1, 3].into())]);
    let joined = df.join(&other, ["k"], JoinKind::Inner).filter(square().lt(40));
    assert_eq!(joined.collect().unwrap().values::<i32>("k").unwrap(), [Some(1)]);
    // what always converts goes below a join as before
    let early = df.with_columns(date(2024, 1, 1).alias("day")).join(&other, ["k"], JoinKind::Inner);
    let early = early.filter(col("day").ge("2023-01-01").and(col("d").lt("9.5"))).explain().unwrap();
    let plan = early.split("optimized").nth(1).unwrap();
    assert!(plan.find("inner join").unwrap() < plan.find("filter").unwrap(), "{early}");
    // the same of conversions and texts
    let df = DataFrame::from_columns([("s", vec!["1", "x", "300"].into()), ("n", vec![1i64, 2, 300].into())]);
    let bytes = df.filter(col("n").lt(100)).filter(col("n").cast(DataType::UInt8).gt(0));
    assert_eq!(bytes.num_rows().unwrap(), 2);
    let dates = df.filter(col("s").ne("x")).filter(col("s").str().to_date("%j").is_null());
    assert!(error(&dates).to_string().contains("\"1\""));
}

#[test]
fn masks_of_float_keys_see_the_key() {
    let df =
        DataFrame::from_columns([("x", vec![0.0, -0.0, 1.0, -1.0].into()), ("n", vec![1, 2, 3, 4].into())]);
    let groups = df.group_by("x").agg(len());
    let positive = groups.filter((lit_one() / col("x")).gt(0.0)).sort(["x"]).collect().unwrap();
    assert_eq!(positive.values::<i64>("len").unwrap(), [Some(2), Some(1)]);
    assert_eq!(positive.values::<f64>("x").unwrap(), [Some(0.0), Some(1.0)]);
    let negative = groups.filter((lit_one() / col("x")).lt(0.0)).collect().unwrap();
    assert_eq!(negative.values::<i64>("len").unwrap(), [Some(1)]);
}

fn lit_one() -> Expr {
    1.0.into()
}
