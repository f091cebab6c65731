"""eo-processor: Rust kernels for Earth observation behind NumPy arrays. It computes in f64 and returns f64."""

import eo_processor as eo
import numpy as np
from rows import KEEP

from engines import from_tables


def composite(stack, classes):
    return eo.composite(np.where(np.isin(classes, KEEP), stack.astype(np.float64), np.nan), method="median")


variants = from_tables({
    "ndvi_u16": lambda red, nir: eo.ndvi(nir.astype(np.float64), red.astype(np.float64)),
    "evi": lambda *bands: eo.evi(*(bands[k].astype(np.float64) for k in (1, 0, 2))),  # takes nir, red, blue
    "composite": composite,
})
