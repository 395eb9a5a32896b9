//! Filters of sealed slices: which keys a slice cannot hold. Pure bits; it never reads a file.
