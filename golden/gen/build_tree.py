"""The list of groups.  A new group is a module with `add(tree)` and one entry here."""

from . import group_http, group_keys, group_numbers, group_records, group_signals, group_slices, group_wal
from .tree import Tree

GROUPS = (group_records, group_keys, group_numbers, group_signals, group_http, group_wal, group_slices)


def build() -> Tree:
    """The whole tree in memory."""
    tree = Tree()
    for group in GROUPS:
        group.add(tree)
    return tree
