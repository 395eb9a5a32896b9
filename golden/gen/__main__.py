"""`python -m gen [--out DIR]`: writes all golden files.  Two runs give the same bytes."""

import argparse
import pathlib

from . import build_tree


def main():
    """Writes the tree below DIR (the directory above this package unless given)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    out = parser.parse_args().out
    tree = build_tree.build()
    tree.write(out)
    print("golden: %d files, %d bytes" % (len(tree.files), sum(map(len, tree.files.values()))))


main()
