"""Writes the small files that other programs' readers and writers agree on: the oracles of tests/io_*.rs.

Run in this directory with numpy, tifffile and zarr (3.x) installed. Element i (in C order of the logical array) is
(7 i + 3) mod 251, as the tests compute it again.
"""
import shutil
import numpy as np
import tifffile
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, ZstdCodec
from numcodecs import GZip, Zlib


def values(shape, dtype):
    n = int(np.prod(shape))
    flat = (7 * np.arange(n) + 3) % 251
    if np.dtype(dtype) == np.bool_:
        flat = flat % 2
    return flat.reshape(shape).astype(dtype)


# npy
np.save("fortran_be.npy", np.asfortranarray(values((3, 4, 5), ">f4")))
np.save("half.npy", values((2, 6), "<f2"))
np.save("big_i8.npy", values((5,), ">i8"))
np.save("scalar.npy", values((), "<f8"))
np.save("bools.npy", values((3, 3), bool))
np.save("complex.npy", np.zeros(2, "c8"))
np.save("record.npy", np.zeros(2, [("a", "i4"), ("b", "f4")]))
with open("version2.npy", "wb") as f:
    np.lib.format.write_array(f, values((4, 3), "<u2"), version=(2, 0))

# TIFF: uncompressed strips of both kinds, tiles, both byte orders, BigTIFF
tifffile.imwrite("be_planar_strips.tif", values((3, 20, 17), "u2"), byteorder=">", photometric="minisblack",
                 planarconfig="separate", rowsperstrip=6)
tifffile.imwrite("one_strip_rgb.tif", values((20, 17, 3), "u1"), photometric="rgb", rowsperstrip=20)
tifffile.imwrite("big_tiled_deflate.tif", values((40, 50), "f4"), bigtiff=True, tile=(16, 32), compression="zlib",
                 photometric="minisblack")
tifffile.imwrite("tiled.tif", values((20, 17), "f8"), tile=(16, 16), photometric="minisblack")
tifffile.imwrite("half.tif", values((2, 3), "f2"), photometric="minisblack")
tifffile.imwrite("half_be_big.tif", values((5, 20, 17), "f2"), photometric="minisblack", planarconfig="separate",
                 byteorder=">", bigtiff=True, tile=(16, 16), compression="zlib")
tifffile.imwrite("be_strips_i4.tif", values((33, 9), "i4"), byteorder=">", rowsperstrip=4, compression="zlib")

# Zarr; the middle chunk of the first is missing
shutil.rmtree("v2_gzip.zarr", ignore_errors=True)
a = zarr.create_array("v2_gzip.zarr", shape=(7, 5), chunks=(3, 2), dtype="i2", zarr_format=2,
                      compressors=GZip(5), fill_value=9,
                      attributes={"_ARRAY_DIMENSIONS": ["y", "x"], "_FillValue": -1, "units": "m"})
a[:] = values((7, 5), "i2")
shutil.os.remove("v2_gzip.zarr/1.1")
shutil.rmtree("v2_f_order_be.zarr", ignore_errors=True)
a = zarr.create_array("v2_f_order_be.zarr", shape=(4, 6), chunks=(4, 4), dtype=">f8", zarr_format=2, order="F",
                      compressors=Zlib(1))
a[:] = values((4, 6), ">f8")
shutil.rmtree("v3_sharded.zarr", ignore_errors=True)
a = zarr.create_array("v3_sharded.zarr", shape=(10, 9), chunks=(2, 3), shards=(4, 6), dtype="u2",
                      compressors=[ZstdCodec(level=1), Crc32cCodec()], dimension_names=["lat", "lon"])
a[:] = values((10, 9), "u2")
shutil.rmtree("v3_half.zarr", ignore_errors=True)
a = zarr.create_array("v3_half.zarr", shape=(5,), chunks=(3,), dtype="f2", compressors=[GzipCodec(level=1)],
                      fill_value=float("nan"))
a[:] = values((5,), "f2")
shutil.rmtree("v3_bool.zarr", ignore_errors=True)
a = zarr.create_array("v3_bool.zarr", shape=(5, 2), chunks=(5, 1), dtype="bool", compressors=None)
a[:] = values((5, 2), bool)
shutil.rmtree("v3_scalar.zarr", ignore_errors=True)
a = zarr.create_array("v3_scalar.zarr", shape=(), chunks=(), dtype="f4", compressors=None)
a[...] = values((), "f4")
