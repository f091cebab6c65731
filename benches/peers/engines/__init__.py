"""One module per peer, named `peer_<engine>`.

Each has `variants(row, inputs, out, threads)`, which yields `(mode, call)`: `call()` computes the row once and
returns its result. `out()` allocates the preallocated result of mode "into". What is done before `call` (compiling,
copying inputs into the engine's own arrays) is not timed.
"""

from functools import partial


def from_tables(fresh, into=None):
    """`variants` of an engine that is two tables of functions: `f(*inputs)` and `f(*inputs, out)`."""

    def variants(row, inputs, out, threads):
        if row in fresh:
            yield "fresh", partial(fresh[row], *inputs)
        if into and row in into:
            yield "into", partial(into[row], *inputs, out())

    return variants
