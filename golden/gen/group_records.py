"""records/*.json and vectors/records.json: every body and all that can be known about it.

Checks each hand-written expectation against the independent reader before it is written down.
"""

import hashlib

from . import canonical, judge, keyring, records, siphash, steady, verdict
from .number_text import shortest

SECRET = bytes(range(16))


def _signed(record):
    """Payloads, digests and one signature for each scheme."""
    payloads = {form: canonical.payload(record, form) for form in canonical.FORMS}
    return {
        "payload": {form: data.decode("ascii") for form, data in payloads.items()},
        "digest": {form: canonical.digest(data).hex() for form, data in payloads.items()},
        "signatures": {
            scheme: keyring.b64(keyring.sign(scheme, "agent-a" if scheme.startswith("ed25519") else "testsecret", record))
            for scheme in keyring.SCHEMES
        },
    }


def _entry(case):
    answer = judge.judge(case.body, case.scheme, case.keys)
    reason = answer.verdict.reason if answer.verdict else None
    found = (answer.status, answer.code, reason)
    assert found == (case.status, case.code, case.reason), (case.name, found, answer.why)
    entry = {
        "name": case.name,
        "file": "records/%s.json" % case.name,
        "about": case.about,
        "body_sha256": hashlib.sha256(case.body).hexdigest(),
        "scheme": case.scheme,
        "keys": list(case.keys),
        "status": case.status,
        "code": case.code,
        "reason": case.reason,
    }
    if answer.verdict:
        exact = steady.d_hat(answer.record.scales, answer.record.n_j)
        assert answer.verdict.recomputed_d_hat == exact, (case.name, exact)
        entry["outcome"] = verdict.outcome(answer.record, answer.verdict)
        entry["recomputed"] = {
            "D_hat": shortest(answer.verdict.recomputed_d_hat),
            "budget": shortest(answer.verdict.recomputed_budget),
            "regime": answer.verdict.regime,
        }
        entry["key_hash"] = siphash.key_of(SECRET, "default", answer.record.pcs_id).hex()
    record = answer.record
    if record and max(len(record.pcs_id.encode()), len(record.merkle_root.encode())) <= judge.TEXT_BYTES_MAX:
        entry |= _signed(record)
    return entry


def _sequence(name, about, steps, entries):
    out = []
    for case, answered_by, dedup in steps:
        step = {"file": "records/%s.json" % case, "status": entries[answered_by or case]["status"]}
        step["code"] = None if answered_by else entries[case]["code"]
        step["dedup"] = dedup
        step["outcome"] = entries[answered_by]["outcome"] if answered_by else None
        out.append(step)
    return {"name": name, "about": about, "steps": out}


def add(tree):
    """Adds the group to the tree."""
    entries = {}
    for case in records.all_cases():
        tree.add("records/%s.json" % case.name, case.body)
        entries[case.name] = _entry(case)
    sequences = [_sequence(*sequence, entries) for sequence in records.SEQUENCES]
    tree.add_json(
        "vectors/records.json",
        {"params_version": "1", "installation_secret": SECRET.hex(), "records": list(entries.values()), "sequences": sequences},
    )
