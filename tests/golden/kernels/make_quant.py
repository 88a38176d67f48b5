"""Golden bytes and values of the quantised types: ggml's own quantisers and the `gguf` package's dequantisers.

Run: python make_quant.py   (needs numpy, gguf, and llama-cpp-python for its libggml-base)
Writes quant.json beside itself: input rows as little-endian f32 in base64, and for each type the bytes ggml makes of them;
for types that are only read, random blocks; values as f32 in base64.
"""
import base64
import ctypes
import json
import pathlib

import gguf
import llama_cpp
import numpy as np

lib = ctypes.CDLL(str(pathlib.Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
lib.ggml_quantize_chunk.restype = ctypes.c_size_t
lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                    ctypes.c_int64, ctypes.c_void_p]
T = gguf.GGMLQuantizationType
READ = {"q8_0": T.Q8_0, "q4_0": T.Q4_0, "q4_1": T.Q4_1, "q5_0": T.Q5_0, "q5_1": T.Q5_1, "q2_k": T.Q2_K, "q3_k": T.Q3_K,
        "q4_k": T.Q4_K, "q5_k": T.Q5_K, "q6_k": T.Q6_K}
WRITE = ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"]


def b64(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def ggml_bytes(kind, values):
    block, size = gguf.GGML_QUANT_SIZES[READ[kind]]
    out = np.zeros(values.size // block * size, np.uint8)
    lib.ggml_quantize_chunk(int(READ[kind]), values.ctypes.data, out.ctypes.data, 0, 1, values.size, None)
    return out


def rows(rng):
    """Weights as they occur, and the corners: zeros, one outlier, one sign only, groups of very different size, tiny."""
    normal = rng.normal(0, 0.05, 256)
    scaled = rng.normal(0, 1, 256) * np.repeat(10.0 ** -np.arange(8), 32)
    mixed = rng.normal(0, 0.01, 256)
    mixed[77] = -3.0
    mixed[128:192] = np.abs(rng.normal(0, 1, 64)) + 0.5
    mixed[192:224] = -0.125
    heavy = rng.standard_t(2, 256) * 1e-9
    return np.concatenate([normal, np.zeros(256), scaled, mixed, heavy]).astype(np.float32)


def main():
    rng = np.random.default_rng(7)
    values = rows(rng)
    golden = {"values": b64(values), "f16": b64(values.astype(np.float16)),
              "bf16": b64(gguf.quants.quantize(values.reshape(1, -1), T.BF16)), "bytes": {}, "random": {}, "decoded": {}}
    for kind in WRITE:
        golden["bytes"][kind] = b64(ggml_bytes(kind, values))
    for kind, code in READ.items():
        block, size = gguf.GGML_QUANT_SIZES[code]
        count = 256 // block
        raw = rng.integers(0, 256, (count, size), dtype=np.uint8)
        # Scales are halves: keep them finite by keeping their exponent small.
        places = {"q2_k": [80, 82], "q3_k": [108], "q6_k": [208], "q8_0": [0], "q4_0": [0], "q5_0": [0]}.get(kind, [0, 2])
        for place in places:
            raw[:, place + 1] &= 0xB7
        golden["random"][kind] = b64(raw)
        golden["decoded"][kind] = b64(gguf.quants.dequantize(raw.reshape(1, -1), code).astype(np.float32))
    path = pathlib.Path(__file__).parent / "quant.json"
    path.write_text(json.dumps(golden, indent=0) + "\n")
    print(path, path.stat().st_size)


main()
