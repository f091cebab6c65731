"""JAX with data on its device: the shared formulas under `jit`. Products in full f32, as NumPy's."""

import formulas
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_default_matmul_precision", "highest")
ROWS = dict(formulas.SHARED) | {"matmul": lambda xp, a, b: xp.matmul(a, b)}


def on_gpu():
    return jax.devices()[0].platform == "gpu"


def host(result):
    return jax.tree.map(np.asarray, result)


def variants(row, inputs, out, threads):
    f = jax.jit(lambda *arrays: ROWS[row](jnp, *arrays))
    there = [jax.device_put(a) for a in inputs]
    if row in formulas.PLANES:
        yield "kept", lambda: jax.block_until_ready(f(*there))
    yield "resident", lambda: host(f(*there))
