"""The log directories: the checksum, the reader against harm that nobody chose, and what the story must contain."""

import unittest

from gen import group_wal, wal, wal_bytes, wal_read, wal_variants


class Wal(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.forms = {form: wal.whole(form) for form in (wal.V1, wal.V2)}
        cls.v1 = cls.forms[wal.V1]

    def test_the_checksum_is_crc_32c(self):
        self.assertEqual(wal_bytes.crc(b"123456789"), 0xE3069283)

    def test_two_tellings_give_the_same_bytes(self):
        for form, whole in self.forms.items():
            self.assertEqual(wal.whole(form).files, whole.files)
            self.assertEqual(wal.with_slice(form).files, wal.with_slice(form).files)

    def test_a_broken_bit_in_any_batch_that_counts_changes_the_verdict_or_the_end(self):
        for directory in self.forms.values():
            for log, told in directory.logs.items():
                whole, _ = group_wal.read_of(directory, directory.files, log)
                for batch in told.counted:
                    for within in (0, 70, 95):
                        name = directory.segment_name(log, batch["ordinal"])
                        edit = {"op": "flip", "file": name, "offset": batch["offset"] + within, "mask": 16}
                        found, _ = group_wal.read_of(directory, wal_variants.apply(directory.files, [edit]), log)
                        self.assertNotEqual(found, whole, (directory.name, log, batch["sequence"], within))

    def test_both_versions_of_a_segment_header_chain_the_same_way(self):
        for log, told in self.forms[wal.V2].logs.items():
            for segment in told.segments:
                header = told.header(segment["ordinal"], segment["salt"], 1, (1, 2) if segment["ordinal"] else None)
                old = told.header(segment["ordinal"], segment["salt"], 1, (1, 2) if segment["ordinal"] else None, version=1, labels=())
                self.assertNotEqual(header, old)
                self.assertEqual(wal_bytes.chained(header), int.from_bytes(old[-4:], "little"), log)

    def test_every_kind_of_fate_and_every_reason_is_there(self):
        rows = [row for told in self.v1.logs.values() for batch in told.counted for row in batch["records"]]
        self.assertEqual({row["kind"] for row in rows},
                         {"body", "decision", "refused", "duplicate", "conflict", "unanswered", "erasure", "skipped"})
        self.assertEqual({row["reason"] for row in rows if row["kind"] == "decision"}, set(wal.REASONS.values()))
        self.assertEqual({row["regime"] for row in rows if row["kind"] == "decision"}, set(wal.REGIMES.values()))
        self.assertEqual({row["code"] for row in rows if row["kind"] == "refused"}, set(wal.CODES.values()))

    def test_every_verdict_has_a_variant(self):
        found = {wanted["verdict"] for _, _, _, wanted in wal_variants.all_of(self.v1)}
        self.assertEqual(found, {"whole", "torn", "torn_or_whole", "damage", "stale_manifest", "unsupported"})

    def test_a_batch_header_is_refused_where_it_contradicts_itself(self):
        fields = {"salt": 1, "sequence": 1 << 40 | 5, "expiry_clock": 0, "wall": 0, "durable_upto": 1 << 40 | 4,
                  "settled_upto": 1 << 40, "previous": 0}
        self.assertIsNotNone(wal_read.batch_header(wal_bytes.batch(fields, b"", b"", 0), 0))
        for change in ({"sequence": 1 << 40}, {"durable_upto": fields["sequence"]}, {"settled_upto": fields["sequence"] + 1}):
            self.assertIsNone(wal_read.batch_header(wal_bytes.batch(fields | change, b"", b"", 0), 0), change)
