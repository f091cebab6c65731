//! Dataframes on clusters of processes: the local run's rows, to the bit and in its order, with any number of workers.
#![cfg(feature = "cluster")]

#[path = "common/cluster.rs"]
mod common;
#[path = "common/rows.rs"]
mod rows;
#[path = "common/spill.rs"]
mod spill;
#[path = "../examples/cluster_worker.rs"]
#[allow(dead_code, reason = "its functions of rows are what is wanted")]
mod worker;

use blockwise::cluster::LocalCluster;
use blockwise::frame::{
    Column, DataFrame, Every, Expr, FileFormat, JoinKind, Partition, UserFold, col, concat_str, date,
    duration, len, row_number, scan_json_lines, scan_parquet, timestamp,
};
use blockwise::prelude::*;
use common::{LIMIT, local, programs};
use rows::{assert_same, assert_same_when_killed, cluster, frame, scans, while_one_is_killed};
use std::path::Path;
use std::sync::Once;

/// Groups, few and many, sorts, joins and what works row by row, on one cluster, of files of the first so many formats.
fn check_all(workers: usize, formats: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let names = DataFrame::from_columns([
        ("few", Column::from((0..9).map(|k| format!("group {k}")).collect::<Vec<_>>())),
        ("weight", (0..9).map(|k| k as f64 * 0.1).collect::<Vec<_>>().into()),
    ]);
    let cluster = cluster(workers);
    let client = cluster.client().expect("connected");
    for (format, df) in scans(dir.path()).into_iter().take(formats) {
        let same = |df: &DataFrame, what: &str| {
            assert_same(&client, df, &format!("{what}, {format}, {workers} workers"))
        };
        let folds = [
            col("x").sum().alias("sum"),
            col("x").mean().alias("mean"),
            col("x").std().alias("std"),
            col("n").max().alias("max"),
            col("n").median().alias("median"),
            col("few").first().alias("first"),
            col("n").n_unique().alias("different"),
            len(),
        ];
        assert_eq!(same(&df.group_by("few").agg(folds.clone()), "few groups"), 9);
        let many = df.filter(col("n").gt(10)).group_by("many").agg(folds.clone());
        assert!(same(&many, "many groups") > 1 << 17);
        same(&df.group_by(["few", "n"]).agg(folds.clone()), "two keys");
        assert_eq!(same(&df.select(folds), "one group"), 1);
        same(&df.filter(col("n").lt(3)).with_columns((col("x") * 2.0 + col("n")).alias("y")), "rows");
        same(&df.sort(["few", "x"]), "sort");
        same(&df.sort("x").head(1000), "the first of a sort");
        same(&df.join(&names, "few", JoinKind::Inner), "inner join");
        same(
            &df.join(&names, "few", JoinKind::Left).group_by("weight").agg(col("x").sum()),
            "groups of a join",
        );
        same(&df.group_by("few").agg(col("x").mean()).sort("few"), "a sort of groups");
        let hours = timestamp(2024, 1, 31, 22, 30, 0) + col("many") * duration(0, 1, 0, 0);
        let times = df.with_columns([
            hours.dt().replace_time_zone(Some("Europe/Berlin")).alias("t"),
            concat_str([col("few").str().extract(r"(\d)$", 1), col("n")], "/")
                .str()
                .pad_start(8, '.')
                .alias("text"),
        ]);
        let weeks = times.filter(col("text").str().contains("3/")).resample("t", Every::weeks(1));
        assert!(same(&weeks.agg([col("x").sum(), col("text").max()]), "text and times") > 1000);
    }
}

#[test]
fn one_worker_gives_the_local_runs_rows() {
    check_all(1, 1);
}

#[test]
fn two_workers_give_the_local_runs_rows() {
    check_all(2, 3);
}

#[test]
fn four_workers_give_the_local_runs_rows() {
    check_all(4, 2);
}

#[test]
fn joins_rows_in_order_and_sinks_give_the_local_runs_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let [(_, df), (_, csv), _] = scans(dir.path());
    let cluster = cluster(2);
    let client = cluster.client().expect("connected");
    let few = csv.filter(col("many").lt(500)).select(["many", "n"]).unique(["many"]);
    let kinds = [JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Semi, JoinKind::Anti];
    for kind in kinds {
        assert!(assert_same(&client, &df.join(&few, "many", kind), &format!("{kind:?} join")) > 0);
    }
    let right = csv.filter(col("many").lt(500)).select([col("many"), col("n").alias("m")]);
    let left = df.filter(col("many").lt(900).and(col("many").gt(300)));
    assert_same(&client, &left.join(&right, "many", JoinKind::Full), "full join");
    // it keeps the left side, too, to find the right rows that have no partner
    assert!(assert_same(&client, &df.join(&right, "many", JoinKind::Full), "full join of many") > 200_000);
    // what groups left is kept whole by every worker, on its disk
    let sums = df.group_by("many").agg(col("x").sum().alias("y"));
    assert_eq!(assert_same(&client, &df.join(&sums, "many", JoinKind::Left), "join with groups"), 240_000);
    let means = df.join(&sums, "many", JoinKind::Inner).group_by("few").agg(col("y").mean());
    assert_eq!(assert_same(&client, &means, "groups of a join with groups"), 9);
    let twice = df.select(["many", "x"]).join(&csv.filter(col("many").lt(40)), "many", JoinKind::Inner);
    assert_same(&client, &twice.group_by("n").agg(col("x").mean()).sort("n"), "a join, groups and a sort");
    let in_order =
        df.with_columns([row_number().alias("row"), col("n").cum_sum().over(["few"]).alias("sum")]);
    assert_same(&client, &in_order, "functions of rows in order");
    assert_same(&client, &df.unique(["few", "n"]), "the first of equal rows");
    assert_eq!(assert_same(&client, &df.head(17), "the first rows"), 17);
    assert_eq!(assert_same(&client, &df.filter(col("n").gt(900)).tail(17), "the last rows"), 17);
    assert_same(&client, &DataFrame::concat([&df, &csv]).group_by("few").agg(col("x").sum()), "two tables");
    assert_eq!(assert_same(&client, &df.filter(col("many").lt(-9)), "no rows"), 0);
    assert_eq!(assert_same(&client, &df.filter(col("many").lt(-9)).group_by("n").agg(len()), "no groups"), 0);

    // files beside what other passes left, and partitions
    let both = DataFrame::concat([&df, &df.sort("x").head(50_000), &csv.head(1000)]);
    assert_eq!(assert_same(&client, &both, "files and results"), 291_000);
    assert_eq!(assert_same(&client, &both.group_by("few").agg(col("x").sum()), "groups of both"), 9);
    let many = both.group_by("many").agg([col("x").sum(), col("n").n_unique().alias("different")]);
    assert!(assert_same(&client, &many, "many groups of both") > 1 << 17);
    assert_same(&client, &both.sort(["many", "x"]), "a sort of both");
    let sums = df.group_by("n").agg(col("x").sum().alias("sum")).filter(col("n").gt(500));
    assert_same(
        &client,
        &csv.filter(col("n").gt(700)).join(&sums, "n", JoinKind::Full),
        "full join with groups",
    );
    let ranges = df.filter(col("n").lt(60)).repartition(Partition::by_range(["many", "n"], 7));
    assert_same(&client, &ranges, "ranges");
    assert_eq!(assert_same(&client, &ranges.partitions(), "their ends"), 7);
    let hashed = df.repartition(Partition::by_hash("few", 4));
    assert_eq!(assert_same(&client, &hashed.group_by("few").agg(col("x").sum()), "groups of partitions"), 9);

    // the library's own functions of batches
    assert_eq!(assert_same(&client, &df.unpivot(["x", "n"], ["few"]), "unpivot"), 480_000);
    let lists = df.filter(col("n").lt(30)).group_by("few").agg(col("x").collect_list());
    assert!(assert_same(&client, &lists.explode("x"), "explode") > 5000);
    assert!(assert_same(&client, &df.describe(), "describe") > 3);
    assert_eq!(assert_same(&client, &df.corr_matrix(), "correlations"), 3);
    let days =
        df.filter(col("n").lt(9)).select((date(2024, 1, 1) + col("n") * duration(3, 0, 0, 0)).alias("day"));
    assert_eq!(assert_same(&client, &days.unique("day").upsample("day", Every::days(1)), "upsample"), 25);

    let pairs = df.head(40).select(["n", "x"]).cross_join(&csv.head(30).select(["many"]));
    assert_eq!(assert_same(&client, &pairs, "cross join"), 1200);
    let lines = dir.path().join("lines.jsonl");
    frame(3, 20_000, 100).write_json_lines(&lines).expect("written");
    assert_same(&client, &scan_json_lines(&lines).group_by("many").agg(col("x").sum()), "JSON lines");

    // directories that name the values of a column
    for year in 2021..2024 {
        let path = dir.path().join(format!("years/year={year}/all.parquet"));
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        frame(year, 5000, 90).write_parquet(&path).expect("written");
    }
    let years = scan_parquet(dir.path().join("years"));
    let sums = years.filter(col("year").gt(2021)).group_by(["year", "few"]).agg(col("x").sum());
    assert_eq!(assert_same(&client, &sums, "directories by key"), 18);
    assert_same(&client, &years.sort(["year", "x"]), "a sort of directories by key");

    // what a sink takes comes to the client, in order: the file is the same
    let (here, there) = (dir.path().join("here.csv"), dir.path().join("there.csv"));
    let out = df.filter(col("n").lt(5));
    let sink = |path: &Path| {
        let format = FileFormat::Csv(Default::default());
        format.create(path, out.schema().expect("known")).expect("created")
    };
    out.write_with(sink(&here), &local()).expect("written");
    out.write_with(sink(&there), &client).expect("written");
    assert_eq!(std::fs::read(here).expect("there"), std::fs::read(there).expect("there"));
}

/// The files of a directory, by name.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entry = |e: std::io::Result<std::fs::DirEntry>| {
        let path = e.expect("an entry").path();
        (path.file_name().expect("a name").display().to_string(), std::fs::read(&path).expect("a file"))
    };
    let mut all: Vec<_> = std::fs::read_dir(dir).expect("there").map(entry).collect();
    all.sort();
    all
}

#[test]
fn directories_are_written_by_the_workers_with_the_local_runs_bytes() {
    let dir = tempfile::tempdir().expect("a directory");
    let [(_, df), (_, csv), _] = scans(dir.path());
    let cluster = cluster_with_functions();
    let client = cluster.client().expect("connected");
    let out = tempfile::tempdir().expect("a directory");
    let formats = [
        FileFormat::Parquet(Default::default()),
        FileFormat::Ipc(Default::default()),
        FileFormat::Csv(Default::default()),
        FileFormat::JsonLines,
    ];
    let schema = df.schema().expect("known");
    let frames = [
        df.filter(col("n").gt(5)).with_columns((col("x") * 2.0).alias("y")),
        // by ranges: nothing is known of how many rows there are
        df.map_batches_registered("twice", &schema).sort(["few", "x"]),
        DataFrame::concat([&csv, &df.sort("x").head(1000)]),
        df.filter(col("many").lt(-9)),
    ];
    for (n, (df, format)) in frames.iter().zip(&formats).enumerate() {
        let write = |name: &str, session: &Session| {
            let path = out.path().join(format!("{n}-{name}"));
            let sink = format.create_directory(&path, df.schema().expect("known")).expect("created");
            df.write_with(sink, session).expect("written");
            files(&path)
        };
        let (near, far) = (write("here", &local()), write("there", &client));
        let names = |files: &[(String, Vec<u8>)]| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(&near), names(&far), "{n}");
        assert!(near == far, "frame {n}: other bytes");
        assert!(near.len() > 1 || n == 3, "frame {n}: {} files", near.len());
    }
    assert_eq!(std::fs::read_dir(out.path()).expect("there").count(), 2 * frames.len());
}

/// Two workers that know functions of ours, which are known here, too.
fn cluster_with_functions() -> LocalCluster {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| worker::register_functions_of_rows().expect("registered once"));
    let own = Path::new(env!("CARGO_BIN_EXE_blockwise-worker")).with_file_name("examples");
    let builder = LocalCluster::builder(2, 1, LIMIT).expect("described");
    let builder = programs(builder).worker_program(own.join("cluster_worker"));
    builder.start().expect("started: build the example")
}

#[test]
fn a_worker_killed_while_files_are_written_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let [(_, df), ..] = scans(dir.path());
    let out = tempfile::tempdir().expect("a directory");
    let format = FileFormat::Parquet(Default::default());
    let df = df.with_columns((col("x") / 3.0).sqrt().alias("y"));
    let write = |name: &str, session: &Session| {
        let path = out.path().join(name);
        let sink = format.create_directory(&path, df.schema().expect("known")).expect("created");
        df.write_with(sink, session).unwrap_or_else(|e| panic!("{e}"));
        files(&path)
    };
    let near = write("here", &local());
    assert!(while_one_is_killed(0, |client| write("there", client)) == near);
    // nothing of the one that died is left
    assert_eq!(std::fs::read_dir(out.path()).expect("there").count(), 2);
}

#[test]
fn functions_of_ones_own_travel_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let [(_, df), ..] = scans(dir.path());
    let cluster = cluster_with_functions();
    let client = cluster.client().expect("connected");
    let columns = df.select([
        col("n").map_elements_registered("thirds").alias("third"),
        Expr::map_columns_registered([col("x"), col("n")], "ratio").alias("ratio"),
    ]);
    assert_eq!(assert_same(&client, &columns, "functions of columns"), 240_000);
    let twice = df.filter(col("n").lt(40)).map_batches_registered("twice", &df.schema().expect("known"));
    assert!(assert_same(&client, &twice.sort(["many", "n"]), "a function of batches") > 10_000);
    let fold = UserFold::registered("weighted_mean").expect("registered");
    let folds = [fold.of(["x", "n"]), col("n").map_elements_registered("thirds").sum().alias("thirds")];
    assert!(assert_same(&client, &df.group_by("many").agg(folds.clone()), "folds of many groups") > 1 << 17);
    assert_eq!(assert_same(&client, &df.group_by("few").agg(folds.clone()), "folds of few groups"), 9);
    assert_eq!(assert_same(&client, &df.select(folds), "folds of all"), 1);
    let schema = df.schema().expect("known");
    let parts = df.repartition(Partition::by_hash("many", 40)).map_partitions_registered("twice", &schema);
    assert_eq!(assert_same(&client, &parts, "a function of partitions"), 480_000);
    let groups = df.filter(col("n").lt(40)).group_by("few").map_groups_registered("twice", &schema);
    assert!(assert_same(&client, &groups, "a function of groups") > 10_000);
    let nothing = df.filter(col("many").lt(-9)).select(fold.of(["x", "n"]));
    assert_eq!(assert_same(&client, &nothing, "a fold of nothing"), 1);
    // names are of one function, and of one that is there
    assert!(worker::register_functions_of_rows().is_err());
    let e =
        df.select(col("n").map_elements_registered("fourths")).collect_with(&client).expect_err("unknown");
    assert!(e.to_string().contains("fourths") && e.to_string().contains("thirds"), "{e}");
    let e =
        df.map_batches_registered("thirds", &df.schema().expect("known")).schema().expect_err("other kind");
    assert!(e.to_string().contains("thirds"), "{e}");
    assert!(UserFold::registered("ratio").is_err());
    // what a worker does not know
    blockwise::frame::register_elements("here only", |n: i32| Some(n)).expect("registered once");
    let e = df.select(col("n").map_elements_registered("here only")).collect_with(&client);
    let e = e.expect_err("unknown there").to_string();
    assert!(e.contains("here only") && e.contains("worker"), "{e}");
}

#[test]
fn what_a_cluster_cannot_do_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("t.parquet");
    frame(1, 100, 10).write_parquet(&path).expect("written");
    let df = scan_parquet(&path);
    let cluster = cluster(1);
    let client = cluster.client().expect("connected");
    let refused = |df: &DataFrame, words: &str| {
        let e = df.collect_with(&client).expect_err(words);
        assert!(matches!(e.kind(), ErrorKind::Unsupported { .. }), "{e:?}");
        assert!(e.to_string().contains(words), "{e}");
    };
    let schema = df.schema().expect("known");
    refused(&df.map_batches(&schema, Ok), "map_batches");
    refused(&df.select(col("n").map_elements(|n: i32| Some(n + 1))), "map_elements");
    let same = |c: &[blockwise::frame::arrow::array::ArrayRef]| Ok(c.to_vec());
    let types = [blockwise::frame::DataType::Float64];
    let mine = UserFold::new("my fold", types.clone(), types[0].clone(), same, same, |c| Ok(c[0].clone()));
    refused(&df.group_by("few").agg(mine.of("x")), "my fold");
    refused(&df.repartition(Partition::rows(9)).map_partitions(&schema, Ok), "map_partitions");
    refused(&df.group_by("few").map_groups(&schema, Ok), "map_groups");
    // an error of a worker comes with its place, and the worker lives on
    let wrong = df.select(col("few").cast(blockwise::frame::DataType::Int64));
    let e = wrong.collect_with(&client).expect_err("no number");
    assert!(e.to_string().contains("worker worker-0, stage 0"), "{e}");
    assert_eq!(df.collect_with(&client).expect("rows").num_rows(), 100);
    // as does a file that changes
    std::fs::write(&path, b"something else").expect("written");
    assert!(df.collect_with(&client).is_err());
}

/// Many groups while a worker is killed in a stage.
fn killed_in(stage: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let [_, (_, df), _] = scans(dir.path());
    let all = DataFrame::concat([&df, &df, &df, &df]);
    let folds = [col("x").sum(), col("x").mean().alias("mean"), col("n").median().alias("median"), len()];
    assert_same_when_killed(&all.group_by("many").agg(folds), stage);
}

#[test]
fn a_worker_killed_while_files_are_read_changes_nothing() {
    killed_in(0);
}

#[test]
fn a_worker_killed_while_groups_are_put_together_changes_nothing() {
    killed_in(1);
}
