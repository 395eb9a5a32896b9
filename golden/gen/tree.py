"""The generated tree: paths to bytes, written to a directory or compared with one.

Owns which directories are generated as a whole; files that no generator names any more are removed.
"""

import json
import pathlib

GENERATED = ("events", "http", "records", "vectors", "wal")


def to_json(value) -> bytes:
    """Pretty JSON in pure ASCII with a newline at its end: a readable diff, the same on every machine."""
    return (json.dumps(value, ensure_ascii=True, indent=1) + "\n").encode("ascii")


class Tree:
    """Files to be written, each named once."""

    def __init__(self):
        self.files = {}

    def add(self, path: str, data: bytes):
        """Adds a file below one of the generated directories."""
        assert path.split("/")[0] in GENERATED, path
        assert path not in self.files, path
        self.files[path] = data

    def add_json(self, path: str, value):
        """Adds a JSON file."""
        self.add(path, to_json(value))

    def write(self, root: pathlib.Path):
        """Makes the generated directories of `root` equal to this tree."""
        for path in existing(root):
            if path not in self.files:
                (root / path).unlink()
        for path, data in self.files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    def differences(self, root: pathlib.Path):
        """What `write` would change, one line each."""
        found = existing(root)
        lines = ["not generated: " + path for path in found if path not in self.files]
        for path, data in self.files.items():
            if path not in found:
                lines.append("missing: " + path)
            elif (root / path).read_bytes() != data:
                lines.append("differs: " + path)
        return sorted(lines)


def existing(root: pathlib.Path):
    """All files in the generated directories of `root`, as sorted relative paths."""
    found = []
    for top in GENERATED:
        found += [p.relative_to(root).as_posix() for p in (root / top).rglob("*") if p.is_file()]
    return sorted(found)
