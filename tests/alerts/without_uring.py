"""Runs a program under a seccomp filter that refuses io_uring_setup, as default profiles of containers do: `without_uring.py PROGRAM …`."""

import ctypes
import os
import struct
import sys

LOAD, JUMP_IF_EQUAL, END = 0x20, 0x15, 0x06
ALLOW, REFUSE_EPERM = 0x7FFF0000, 0x00050001
IO_URING_SETUP = 425
NO_NEW_PRIVILEGES, SET_SECCOMP, BY_FILTER = 38, 22, 2


def main():
    steps = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, IO_URING_SETUP), (END, 0, 0, REFUSE_EPERM), (END, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, BY_FILTER, program):
        sys.exit("without_uring: the kernel takes no filter")
    os.execvp(sys.argv[1], sys.argv[1:])


main()
