"""Bottleneck: single-threaded C reductions that skip NaN."""

import bottleneck as bn

from engines import from_tables

variants = from_tables({
    "reduce_axis0": lambda x: bn.nansum(x, axis=0),
    "reduce_axis1": lambda x: bn.nansum(x, axis=1),
    "reduce_nan": lambda x: (bn.nanmean(x, axis=0), bn.nanmean(x, axis=1)),
    "median_time": lambda stack: bn.nanmedian(stack, axis=0),
})
