"""Float32 as it is: on CUDA, PyTorch computes convolutions in TF32 (10 bits) unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def true_float32() -> Iterator[None]:
    """TF32 off in convolutions and matrix products; what was set before is set again."""
    import torch

    if not torch.cuda.is_available():
        yield
        return
    convolution, product = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(convolution, "conv"):  # torch 2.9 warns where allow_tf32 is set
        places = [(convolution.conv, "fp32_precision"), (product, "fp32_precision")]
        value: object = "ieee"
    else:
        places, value = [(convolution, "allow_tf32"), (product, "allow_tf32")], False
    before = [getattr(*place) for place in places]
    for place in places:
        setattr(*place, value)
    try:
        yield
    finally:
        for place, old in zip(places, before, strict=True):
            setattr(*place, old)
