//! Lazy arrays in memory: build, look at the plan, compute.

use blockwise::prelude::*;

fn main() -> Result<(), Error> {
    // waves of many lengths in an ordinary ndarray; nothing is copied
    let signal = ndarray::Array2::from_shape_fn((1000, 2000), |(r, c)| (r as f32 * c as f32 / 300.0).sin());
    let x = Array::from_ndarray(signal).rechunk([250, -1]);

    // expressions, not results: nothing runs here
    let z = (&x - x.mean(0)) / x.std(0);
    let energy = (&z * &z).sum(1);

    // what would run: the passes over the data, each with its fused kernel and the memory it may take
    println!("{}", energy.explain()?);

    // several results share their passes over the data
    let [energy, low, high] = compute!(energy, z.min(..), z.max(..))?;
    println!("energy of row 0: {:.1}", energy.as_slice::<f32>()?[0]);
    println!("z from {:.3} to {:.3}", low.to_scalar::<f32>()?, high.to_scalar::<f32>()?);

    // a slice reaches down to the source: this computes 16 numbers (and the columns' means and deviations they need)
    let corner: ndarray::Array2<f32> = z.slice(s![..4, ..4]).compute()?.try_into()?;
    println!("{corner:.3}");
    Ok(())
}
