"""The address of a BLAS matrix product, for compiled loops: torch's, or scipy's, or none.

torch's libraries include a BLAS (MKL in the x86 wheels) and export its functions under their Fortran names; scipy
exposes addresses of its own. An address is trusted only after a product through it equals torch's.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

GEMM = {torch.float32: "sgemm", torch.float64: "dgemm"}
THREADS = "MKL_Set_Num_Threads_Local"  # for the products of one thread


@dataclass(frozen=True)
class Packing:
    """Addresses of MKL's sgemm_pack, sgemm_compute and sgemm_pack_get_size: products with weights packed once for many
    of them."""

    pack: int
    compute: int
    get_size: int

    def room(self, rows: int, k: int, n: int) -> int:
        """Bytes of weights (k, n) packed for products with x (rows, k)."""
        found: int = c_function(self.get_size, 4, ctypes.c_size_t)(*_by_reference(b"A", n, rows, k))
        return -found // 64 * -64  # so that the next share's weights start at a cache line, too


@dataclass(frozen=True)
class Product:
    """gemm: address of s- or dgemm, 0 if there is none: the loops then multiply themselves. threads: address of MKL's
    function that restricts a product to the calling thread; 0 if there is none. source: the library."""

    gemm: int
    threads: int
    source: str
    packing: Packing | None = None


@cache
def product_of(dtype: torch.dtype) -> Product:
    """The matrix product for that dtype, float32 or float64."""
    for source, find in SOURCES.items():
        address = find(GEMM[dtype])
        if address and _right(address, dtype):
            of_torch = source == "torch"
            packing = _packing() if of_torch and dtype == torch.float32 else None
            return Product(address, address_in_torch(THREADS) if of_torch else 0, source, packing)
    return Product(0, 0, "none")


def _packing() -> Packing | None:
    """Packed products of torch's MKL, in its x86 wheels for float32; None if missing or incorrect."""
    addresses = [address_in_torch(name) for name in ("sgemm_pack_", "sgemm_compute_", "sgemm_pack_get_size_")]
    found = Packing(*addresses)
    return found if all(addresses) and _packs_right(found) else None


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
    """The address from scipy's Cython interface; 0 without scipy."""
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
    """Whether out += x W through this address equals torch's, for sizes that are all different."""
    x, W, out = _tried(dtype)
    (rows, k), n = x.shape, W.shape[1]
    wanted = torch.addmm(out, x, W)
    one = torch.ones((), dtype=dtype)
    _call(address, b"N", b"N", n, rows, k, one, W, n, x, k, one, out, n)
    return sys.byteorder == "little" and torch.allclose(out, wanted, rtol=1e-5)


def _packs_right(packing: Packing) -> bool:
    """The same for packed weights."""
    x, W, out = _tried(torch.float32)
    (rows, k), n = x.shape, W.shape[1]
    wanted = torch.addmm(out, x, W)
    one, packed = torch.ones(()), torch.empty(packing.room(rows, k, n), dtype=torch.uint8)
    _call(packing.pack, b"A", b"N", n, rows, k, one, W, n, packed)
    _call(packing.compute, b"P", b"N", n, rows, k, packed, n, x, k, one, out, n)
    return torch.allclose(out, wanted, rtol=1e-5)


def _tried(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    x, W = (torch.arange(float(a * b), dtype=dtype).reshape(a, b).sin() for a, b in ((3, 5), (5, 7)))
    return x, W, torch.ones(3, 7, dtype=dtype)


def _call(address: int, *arguments: Tensor | int | bytes) -> None:
    c_function(address, len(arguments))(*_by_reference(*arguments))


def _by_reference(*arguments: Tensor | int | bytes) -> list[Any]:
    """Arguments for Fortran. Integers have 64 bits, which a 32-bit BLAS also reads correctly on little-endian
    machines."""
    made: list[Any] = []
    for value in arguments:
        if isinstance(value, Tensor):
            made.append(ctypes.c_void_p(value.data_ptr()))
        elif isinstance(value, int):
            made.append((ctypes.c_int64 * 1)(value))
        else:
            made.append((ctypes.c_char * 1)(value))
    return made


@cache
def c_function(address: int, parameters: int, result: Any = None) -> Callable[..., Any]:
    """The C function at `address`, whose parameters are pointers."""
    return ctypes.CFUNCTYPE(result, *[ctypes.c_void_p] * parameters)(address)
