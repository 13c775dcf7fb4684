#!/usr/bin/env python3
"""Write the dequantization golden with the gguf package's numpy reader as the oracle.

    update_golden_dequantize.py

Needs: pip install gguf numpy. Writes tests/golden/dequantize/blocks.bin; its form is in SOURCE.md there.
The blocks come from a fixed seed, so a second run changes nothing.
"""
import pathlib
import struct

import numpy
from gguf import GGMLQuantizationType as Type
from gguf import quants

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "dequantize" / "blocks.bin"

# Type -> elements and bytes of a block, and where its half-precision scale and min are.
TYPES = {
    Type.F32: (1, 4, []), Type.F16: (1, 2, [0]), Type.BF16: (1, 2, []),
    Type.Q4_0: (32, 18, [0]), Type.Q4_1: (32, 20, [0, 2]), Type.Q5_0: (32, 22, [0]), Type.Q5_1: (32, 24, [0, 2]),
    Type.Q8_0: (32, 34, [0]), Type.IQ4_NL: (32, 18, [0]), Type.IQ4_XS: (256, 136, [0]),
    Type.Q2_K: (256, 84, [80, 82]), Type.Q3_K: (256, 110, [108]), Type.Q4_K: (256, 144, [0, 2]),
    Type.Q5_K: (256, 176, [0, 2]), Type.Q6_K: (256, 210, [208]),
}
ELEMENTS = 512


def main():
    rng = numpy.random.default_rng(20)
    out = bytearray()
    for kind, (elements, size, halves) in TYPES.items():
        count = ELEMENTS // elements
        if kind in (Type.F32, Type.BF16):
            values = rng.standard_normal(count).astype(numpy.float32)
            data = values.view(numpy.uint8).reshape(count, 4)
            if kind == Type.BF16:
                data = data[:, 2:]
        else:
            data = rng.integers(0, 256, (count, size), dtype=numpy.uint8)
            for at in halves:
                scales = rng.standard_normal(count).astype(numpy.float16).reshape(count, 1)
                data[:, at:at + 2] = scales.view(numpy.uint8)
        data = numpy.ascontiguousarray(data).reshape(-1)
        if kind in (Type.F32, Type.F16):
            values = data.view(numpy.float32 if kind == Type.F32 else numpy.float16).astype(numpy.float32)
        else:
            values = quants.dequantize(data, kind).astype(numpy.float32).reshape(-1)
        assert values.size == ELEMENTS
        out += struct.pack("<3I", int(kind), data.size, values.size) + data.tobytes() + values.tobytes()
    OUT.write_bytes(out)


if __name__ == "__main__":
    main()
