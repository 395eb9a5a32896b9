"""docs/schema/pcs-0.1.schema.json against every record: the parser's verdict, or a named reason why it cannot be."""

import copy
import json
import pathlib
import unittest

import jsonschema

from gen import records

PATH = pathlib.Path(__file__).resolve().parents[3] / "docs" / "schema" / "pcs-0.1.schema.json"

# Refused by the parser, and beyond what JSON Schema can say.  A record listed here must pass the schema.
BEYOND = {
    "a key twice in one object": (
        "malformed_duplicate_key", "malformed_duplicate_key_escaped", "malformed_duplicate_key_nested", "malformed_duplicate_n_j"),
    "a number that overflows a double": (
        "malformed_1e400", "malformed_minus_1e400", "malformed_400_digits", "malformed_1e400_unknown_field"),
    "a lone surrogate": (
        "malformed_lone_surrogate", "malformed_low_surrogate", "malformed_surrogates_swapped",
        "malformed_lone_surrogate_unknown_field", "malformed_lone_surrogate_key"),
    "nesting deeper than 32": ("malformed_depth_33",),
    "an integer spelt with a fraction or an exponent": (
        "invalid_epoch_fraction", "invalid_epoch_exponent", "invalid_scales_fraction", "invalid_n_j_fraction"),
    "keys of N_j that are not the scales": ("invalid_n_j_lacks_scale", "invalid_n_j_extra_scale"),
    "a length in bytes": ("invalid_shard_129_bytes",),
}

# Accepted by the parser; refused behind a valid signature.
BEHIND_THE_SIGNATURE = (
    "pcs_id_wrong", "pcs_id_upper_case", "pcs_id_empty", "pcs_id_128_bytes", "pcs_id_not_hex", "merkle_root_not_hex",
    "merkle_root_empty")


def read(body: bytes):
    """The JSON value of a body; a ValueError where it is no JSON."""
    def constant(text):
        raise ValueError(text)

    return json.loads(body.decode("utf-8"), parse_constant=constant)


def values():
    """(case, value) of every body that is JSON at all."""
    for case in records.all_cases():
        try:
            yield case, read(case.body)
        except ValueError:
            continue


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads(PATH.read_text(encoding="utf-8"))
        cls.values = list(values())
        cls.free = {name for names in BEYOND.values() for name in names} | set(BEHIND_THE_SIGNATURE)

    def wanted(self, case):
        return case.status != 400 or case.name in self.free

    def differing(self, schema):
        validator = jsonschema.Draft202012Validator(schema)
        return [case.name for case, value in self.values if validator.is_valid(value) != self.wanted(case)]

    def test_it_is_a_schema(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)

    def test_it_gives_the_verdict_of_the_parser_but_where_a_reason_is_named(self):
        self.assertEqual(self.differing(self.schema), [])

    def test_what_is_no_json_is_malformed_and_never_anything_else(self):
        json_names = {case.name for case, _ in self.values}
        self.assertEqual({case.code for case in records.all_cases() if case.name not in json_names}, {"malformed_json"})

    def test_every_named_exception_is_a_record_that_is_refused_with_400(self):
        refused = {case.name for case in records.all_cases() if case.status == 400}
        self.assertEqual(self.free - refused, set())

    def loosened(self, schema):
        """The refused records that a poorer schema lets pass."""
        validator = jsonschema.Draft202012Validator(schema)
        return [case.name for case, value in self.values if not self.wanted(case) and validator.is_valid(value)]

    def test_dropping_any_requirement_or_rule_of_a_member_changes_a_verdict(self):
        for part in ((), ("properties", "ft")):
            for name in self._at(self.schema, part)["required"]:
                poorer = copy.deepcopy(self.schema)
                self._at(poorer, part)["required"].remove(name)
                self.assertNotEqual(self.loosened(poorer), [], "required " + name)
            for name in self._at(self.schema, part)["properties"]:
                if name == "sig":
                    continue
                poorer = copy.deepcopy(self.schema)
                self._at(poorer, part)["properties"][name] = True
                self.assertNotEqual(self.loosened(poorer), [], name)

    def _at(self, schema, part):
        for name in part:
            schema = schema[name]
        return schema
