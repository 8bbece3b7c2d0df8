"""Numbers that kernels and instructions share: what the processor's vectors hold, and how a product is finished."""

from __future__ import annotations

import llvmlite.binding

FEATURES = llvmlite.binding.get_host_cpu_features()

LANES = 16 if FEATURES.get("avx512f") else 8
"""Numbers in a vector. Rows of activations and weights are padded with zeros to a multiple of LANES."""

AS_IT_IS, RECTIFIED, TIMES_RELU_DERIVATIVE, TIMES_TANH_DERIVATIVE = range(4)
"""The last operation on a product before it is stored; see `a2c.kernels.simd.matmul`."""
