"""How functions are compiled: numba caches the result on disk, and compiled code releases the GIL.

Modules import compiled functions where they call them: numba takes half a second, and many commands need none.
"""

import numba

# Not `parallel=True`: it takes three times as long to compile, and its thread pool is not reentrant.
compiled = numba.njit(nogil=True, cache=True, error_model="numpy", no_cfunc_wrapper=True)
"""For functions that Python calls."""
# Functions called only by other compiled functions are inlined; otherwise numba would compile them twice. Long ones
# with a single caller are not: inlining them takes longer.
inlined = numba.njit(nogil=True, error_model="numpy", inline="always")
called = numba.njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
