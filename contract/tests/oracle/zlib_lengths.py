"""Writes the version of CPython's zlib; then reads raw bytes as hex per line and writes the length of their zlib form at level 6."""
import sys
import zlib

print(zlib.ZLIB_RUNTIME_VERSION)
for line in sys.stdin:
    print(len(zlib.compress(bytes.fromhex(line.strip()), 6)))
