"""Reads raw bytes as hex per line; writes the length of their zlib form at level 6, as CPython's zlib makes it."""
import sys
import zlib

for line in sys.stdin:
    print(len(zlib.compress(bytes.fromhex(line.strip()), 6)))
