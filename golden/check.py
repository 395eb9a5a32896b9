"""Runs the generator's own tests, makes the tree twice and compares it with what is committed.

Exit code 0 when nothing differs, 1 otherwise.  Never changes a file outside a temporary directory.
"""

import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from gen.tree import GENERATED, Tree, existing  # noqa: E402


def generate(out: str) -> Tree:
    """What a fresh process generates, read back from the disk."""
    subprocess.run([sys.executable, "-B", "-m", "gen", "--out", out], cwd=HERE, check=True)
    tree = Tree()
    for path in existing(pathlib.Path(out)):
        tree.add(path, (pathlib.Path(out) / path).read_bytes())
    return tree


def main() -> int:
    """Self-tests, then both comparisons."""
    subprocess.run([sys.executable, "-B", "-m", "unittest", "discover", "-q", "-s", "gen/tests", "-t", "."], cwd=HERE, check=True)
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        tree = generate(first)
        generate(second)
        unstable = tree.differences(pathlib.Path(second))
    changed = tree.differences(HERE)
    for line in unstable:
        print("two runs: " + line)
    for line in changed:
        print("committed: " + line)
    if unstable or changed:
        print("golden files differ: run `make golden` and review the diff of %s" % ", ".join(GENERATED))
        return 1
    return 0


sys.exit(main())
