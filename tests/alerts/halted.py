"""Threads that stand still: a tracer stops one thread of a process, as a disk that hangs or a CPU that is taken does, and lets it go.
All calls for a thread come from the thread that took it. Needs root."""

import contextlib
import ctypes
import os
import time

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
CONT, DETACH, SEIZE, INTERRUPT = 7, 17, 0x4206, 0x4207
WALL = 0x40000000


def trace(request, thread):
    if LIBC.ptrace(request, thread, None, None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"ptrace {request:#x} of {thread}: {os.strerror(code)}")


def halt(thread):
    trace(INTERRUPT, thread)
    os.waitpid(thread, WALL)


@contextlib.contextmanager
def halted(*threads):
    """They stand still within."""
    for thread in threads:
        trace(SEIZE, thread)
        halt(thread)
    try:
        yield
    finally:
        for thread in threads:
            trace(DETACH, thread)


@contextlib.contextmanager
def traced(thread):
    """A thread that `pauses` can stop again and again."""
    trace(SEIZE, thread)
    try:
        yield
    finally:
        halt(thread)
        trace(DETACH, thread)


def pauses(thread, still_s, going_s, until):
    """A traced thread stands still and goes on, in turn, until something holds."""
    while not until():
        halt(thread)
        time.sleep(still_s)
        trace(CONT, thread)
        time.sleep(going_s)
