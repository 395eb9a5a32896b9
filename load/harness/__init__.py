"""Runs the scenarios of load/: starts a gateway on a free port, has its records signed, starts the generator on CPUs of its own, and
writes what came out. It needs nothing beyond Python's standard library, and ends only processes that it started."""
