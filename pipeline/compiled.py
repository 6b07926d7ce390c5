"""How functions are compiled: numba keeps the result on the disk, and they release Python's lock."""

import numba

# Not `parallel=True`: it takes three times as long to compile, and its thread pool must not be entered twice.
compiled = numba.njit(nogil=True, cache=True, error_model="numpy", no_cfunc_wrapper=True)
"""What Python calls."""
# What only other compiled functions call becomes a part of them, or it would be compiled twice; but what is long and is
# called in one place takes longer to copy.
inlined = numba.njit(nogil=True, error_model="numpy", inline="always")
called = numba.njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
