"""A BLAS's matrix product by its address, for compiled loops: torch's own, or scipy's, or none.

torch's libraries bring a BLAS (MKL in the wheels for x86) and export its functions by their Fortran names; scipy hands
out the addresses of its own. An address is trusted after one product through it equals torch's.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

GEMM = {torch.float32: "sgemm", torch.float64: "dgemm"}
THREADS = "MKL_Set_Num_Threads_Local"  # of products that one thread asks for


@dataclass(frozen=True)
class Product:
    """gemm: address of s- or dgemm, 0 where there is none: the loops multiply themselves. threads: of MKL's function
    that keeps a product on the thread that asks for it; 0 where there is none. source: who brings it."""

    gemm: int
    threads: int
    source: str


@cache
def product_of(dtype: torch.dtype) -> Product:
    """The matrix product for that type, float32 or float64."""
    for source, find in SOURCES.items():
        address = find(GEMM[dtype])
        if address and _right(address, dtype):
            return Product(address, address_in_torch(THREADS) if source == "torch" else 0, source)
    return Product(0, 0, "none")


def address_in_torch(name: str) -> int:
    """The address of a function of torch's library or of a library it is linked to; 0 if neither exports it."""
    folder = Path(torch.__file__).parent / "lib"
    file = {"win32": "torch_cpu.dll", "darwin": "libtorch_cpu.dylib"}.get(sys.platform, "libtorch_cpu.so")
    try:
        library = ctypes.CDLL(str(folder / file))
        return ctypes.cast(library[name], ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        return 0


def _gemm_of_torch(name: str) -> int:
    return address_in_torch(f"{name}_")


def _gemm_of_scipy(name: str) -> int:
    """What scipy's Cython interface names; 0: no scipy."""
    try:
        from scipy.linalg import cython_blas
    except ImportError:
        return 0
    capsule = cython_blas.__pyx_capi__.get(name)
    if capsule is None:
        return 0
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)) or 0)


SOURCES: dict[str, Callable[[str], int]] = {"torch": _gemm_of_torch, "scipy": _gemm_of_scipy}


def _right(address: int, dtype: torch.dtype) -> bool:
    """Whether out += x W through this address is torch's, for sizes that are all different."""
    rows, K, N = 3, 5, 7
    x, W = (torch.arange(float(n), dtype=dtype).reshape(shape).sin() for n, shape in ((15, (rows, K)), (35, (K, N))))
    out = torch.ones(rows, N, dtype=dtype)
    wanted = torch.addmm(out, x, W)
    pointer = ctypes.c_void_p
    number = ctypes.c_float if dtype == torch.float32 else ctypes.c_double
    # 64-bit sizes, which a BLAS of 32-bit ones reads right too on a machine that stores the little end first
    n, m, k = (ctypes.c_int64(size) for size in (N, rows, K))
    one, letter = number(1.0), ctypes.c_char(b"N")

    def of(tensor: Tensor) -> ctypes.c_void_p:
        return pointer(tensor.data_ptr())

    at = ctypes.byref
    gemm = ctypes.CFUNCTYPE(None, *[pointer] * 13)(address)
    sizes = [ctypes.cast(at(value), pointer) for value in (letter, letter, n, m, k, one)]
    letters, (wide, deep) = sizes[:2], (sizes[2], sizes[4])
    gemm(*letters, wide, sizes[3], deep, sizes[5], of(W), wide, of(x), deep, sizes[5], of(out), wide)
    return sys.byteorder == "little" and torch.allclose(out, wanted, rtol=1e-5)
