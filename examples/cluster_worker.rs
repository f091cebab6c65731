//! A worker with functions of its own: what the nodes of a cluster run when computations apply functions by name.
//!
//! `cargo run --features cluster --example cluster_worker -- --scheduler http://localhost:50050`; `--help` lists the flags. Programs that send
//! computations register the same names, and apply them with `over_blocks(..).apply_registered("slow")`,
//! `df.map_batches_registered("twice", &schema)`, `col("n").map_elements_registered("thirds")` or `UserFold::registered("weighted_mean")`.

use blockwise::Result;
use blockwise::expr::register_function;
use blockwise::frame::arrow::array::{ArrayRef, AsArray, Float64Array};
use blockwise::frame::arrow::compute::concat_batches;
use blockwise::frame::arrow::datatypes::{Float64Type, Int32Type};
use blockwise::frame::{DataType, UserFold, UserFunction};
use blockwise::frame::{register_batches, register_columns, register_elements, register_fold};
use std::sync::Arc;

fn main() -> Result<()> {
    register_functions_of_blocks()?;
    register_functions_of_rows()?;
    blockwise::cluster::worker_main()
}

fn register_functions_of_blocks() -> Result<()> {
    // its blocks, after a while: for watching a cluster, and for stopping workers in the middle of something
    register_function("slow", |_, blocks| {
        std::thread::sleep(std::time::Duration::from_millis(60));
        Ok(blocks[0].clone())
    })?;
    // the same, but a NaN ends the process: for watching what a cluster does about that
    register_function("deadly", |_, blocks| {
        if blocks[0].view::<f64>()?.iter().any(|v| v.is_nan()) {
            std::process::abort();
        }
        Ok(blocks[0].clone())
    })
}

/// A function of every kind that frames know.
pub fn register_functions_of_rows() -> Result<()> {
    register_batches("twice", |rows| {
        concat_batches(rows.schema_ref(), [&rows, &rows])
            .map_err(|e| blockwise::Error::invalid("twice", e.to_string()))
    })?;
    register_elements("thirds", |n: i32| (n % 7 > 0).then_some(n / 3))?;
    register_columns(UserFunction {
        name: "ratio".into(),
        output: DataType::Float64,
        call: Arc::new(|columns| {
            let (x, n) = (columns[0].as_primitive::<Float64Type>(), columns[1].as_primitive::<Int32Type>());
            let ratio = x.iter().zip(n).map(|(x, n)| Some(x? / f64::from(n?)));
            Ok(Arc::new(ratio.collect::<Float64Array>()))
        }),
    })?;
    register_fold(&weighted_mean())
}

/// The mean of a column of floats by weights, whose states are two sums.
fn weighted_mean() -> UserFold {
    let one = |x: f64| Arc::new(Float64Array::from(vec![x])) as ArrayRef;
    let chunk = move |c: &[ArrayRef]| {
        let pairs = c[0].as_primitive::<Float64Type>().iter().zip(c[1].as_primitive::<Int32Type>());
        let pairs = pairs.filter_map(|(x, w)| Some((x.filter(|x| !x.is_nan())?, f64::from(w?))));
        let (sum, weight) = pairs.fold((0.0, 0.0), |(sum, all), (x, w)| (sum + x * w, all + w));
        Ok(vec![one(sum), one(weight)])
    };
    let combine = move |states: &[ArrayRef]| {
        let sum = |c: &ArrayRef| one(c.as_primitive::<Float64Type>().values().iter().sum());
        Ok(states.iter().map(sum).collect())
    };
    let finish = |states: &[ArrayRef]| {
        let (sums, weights) =
            (states[0].as_primitive::<Float64Type>(), states[1].as_primitive::<Float64Type>());
        let means = sums.values().iter().zip(weights.values()).map(|(s, w)| (*w > 0.0).then(|| s / w));
        Ok(Arc::new(means.collect::<Float64Array>()) as ArrayRef)
    };
    let float = DataType::Float64;
    UserFold::new("weighted_mean", [float.clone(), float.clone()], float, chunk, combine, finish)
}
