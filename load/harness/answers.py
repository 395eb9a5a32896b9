"""What the answer to a record has to be. Pure functions."""

import json


def fault(record, status, dedup, text):
    """What is wrong with the answer to a new record, or None. `dedup` is the header Flk-Dedup."""
    if status != 200 or dedup != "miss":
        return f"{status} {dedup}, and not 200 miss"
    answer = json.loads(text)
    for member in ("pcs_id", "regime"):
        if answer.get(member) != record[member]:
            return f"{member} is {answer.get(member)}, and not {record[member]}"
    return None
