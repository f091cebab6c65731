"""NumExpr: the row as an expression string.

A float literal would make NumExpr compute in f64, so every literal is passed as an f32 variable instead.
"""

import re

import formulas
import numexpr as ne
import numpy as np
from rows import ROWS

CDF = "(1 / (1 + exp(-1.5976*{0} - 0.07056*{0}*{0}*{0})))"
D1 = "((log(price / strike) + 0.065*time) / (0.3*sqrt(time)))"
D2 = "((log(price / strike) - 0.025*time) / (0.3*sqrt(time)))"


def horner():
    acc = repr(formulas.COEFFICIENTS[29])
    for c in reversed(formulas.COEFFICIENTS[:29]):
        acc = f"({acc}*x + {c!r})"
    return acc


EXPRESSIONS = {
    "triad": "a + 2.5*b",
    "ndvi_u16": "(nir_u16 - red_u16) / (nir_u16 + red_u16)",
    "evi": "2.5*(nir - red) / (nir + 6*red - 7.5*blue + 1)",
    "black_scholes": f"price*{CDF.format(D1)} - strike*exp(-0.02*time)*{CDF.format(D2)}",
    "poly30": horner(),
    "sum_hypot": "sum(one*sqrt(a*a + b*b))",  # `one` is f64: an f32 sum stops growing at 2^24
}


def with_f32_constants(text):
    """The expression with its float literals named, and their values: `2.5*b` becomes `c0*b`, {"c0": f32(2.5)}."""
    constants = {}

    def name(literal):
        return constants.setdefault(literal.group(), f"c{len(constants)}")

    text = re.sub(r"\d+\.\d+", name, text)
    return text, {key: np.float32(literal) for literal, key in constants.items()} | {"one": np.float64(1)}


def variants(row, inputs, out, threads):
    if row not in EXPRESSIONS:
        return
    ne.set_num_threads(threads)
    (text, constants), names = with_f32_constants(EXPRESSIONS[row]), ROWS[row].inputs

    def call(out=None):
        arrays = [a.astype(np.float32) if a.dtype == np.uint16 else a for a in inputs]
        return ne.evaluate(text, dict(zip(names, arrays)) | constants, {}, out=out)

    yield "fresh", call
    if ROWS[row].shape:
        preallocated = out()
        yield "into", lambda: call(preallocated)
