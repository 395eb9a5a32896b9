"""The generator's own tests: standard library only, plus the one Ed25519 library."""
