"""The generator of the golden vectors, written from the record contract alone.

It shares no code with any implementation: where both agree byte for byte, two readings
of the same rules agree.  One module per rule, one module per group of files.
"""
