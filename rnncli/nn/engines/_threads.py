"""Runs a compiled loop on several threads: torch's own, if its OpenMP library is accessible.

A second pool would compete with torch's, whose threads busy-wait for some milliseconds after each operation: on two
cores, loops on a separate pool gained nothing from a second thread.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

from rnncli.nn.engines._products import address_in_torch, c_function


def run_on_threads(function: int, arguments: tuple[int, ...], threads: int) -> None:
    """Call `function`, the address of a C function, with the address of an array of 64-bit integers, once on each of
    `threads` threads; returns when all are done."""
    array = (ctypes.c_int64 * len(arguments))(*arguments)
    if threads == 1:
        c_function(function, 1)(ctypes.addressof(array))
    else:
        together = _openmp() or _python_threads
        together(function, ctypes.addressof(array), threads, 0)


@cache
def _openmp() -> Callable[[int, int, int, int], None] | None:
    """GOMP_parallel(function, data, num_threads, flags) of torch's OpenMP library; GNU's and Intel's have it."""
    address = address_in_torch("GOMP_parallel")
    if not address:
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_uint
    return ctypes.CFUNCTYPE(None, pointer, pointer, number, number)(address)


def _python_threads(function: int, array: int, threads: int, flags: int) -> None:
    """The same without OpenMP; a C function runs without the GIL."""
    pool = _pool(os.getpid(), threads - 1)
    others = [pool.submit(c_function(function, 1), array) for _ in range(threads - 1)]
    c_function(function, 1)(array)
    wait(others)


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """process: key of the cache, since a forked process has none of its parent's threads."""
    return ThreadPoolExecutor(threads, "rnncli-loops")
