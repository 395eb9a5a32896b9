"""The table of record bodies: one line of purpose and one hand-written expectation each.

Owns which rules have a record.  The expectations are checked against `judge` when the tree is
made; nothing here computes them.
"""

import base64
import hashlib
from dataclasses import dataclass

from . import curve, keyring
from .build import DROP, Lit, record, write, write_compact

HMAC = keyring.HMAC


@dataclass
class Case:
    """A body, under which keys it is judged, and the answer it must get."""

    name: str
    about: str
    body: bytes
    status: int = 200
    code: str | None = None
    reason: str | None = None
    scheme: str = HMAC
    keys: tuple = ("testsecret",)


CASES: list[Case] = []


def _case(name, about, body=None, status=200, code=None, reason=None, scheme=HMAC, keys=("testsecret",), **given):
    if body is None:
        body = write(record(name, scheme, keys[-1], **given))
    assert name not in {case.name for case in CASES}, name
    CASES.append(Case(name, about, body, status, code, reason, scheme, tuple(keys)))


def _accepted(name, about, **given):
    _case(name, about, **given)


def _escalated(name, about, reason, **given):
    _case(name, about, status=202, reason=reason, **given)


def _refused(name, about, code, body=None, **given):
    _case(name, about, body, status=401 if code == "signature_invalid" else 400, code=code, **given)


def _invalid(name, about, **given):
    _refused(name, about, "invalid_field", **given)


def _plain():
    _case(
        "pcs_tiny_case_1",
        "the record that examples and drills post",
        shard_id="shard-001",
        merkle_root=hashlib.sha256(b"tiny case 1").hexdigest(),
    )
    _accepted("sticky", "coh_star and D_hat exactly on both sticky thresholds", coh_star=0.70, D_hat=1.5)
    _accepted("mixed", "between the regimes", coh_star=0.4)
    _accepted("mixed_coherent", "coherent but too rough to be sticky", N_j={"2": 4, "4": 16, "8": 64})
    _accepted(
        "non_sticky", "D_hat exactly on the non_sticky threshold", coh_star=0.2, N_j={"2": 8, "4": 49, "8": 300}, D_hat=2.6
    )
    _accepted("budget_full", "the budget is clamped to 1.0", coh_star=1.0, r=0.0, N_j={"2": 8, "4": 80, "8": 800})
    _accepted("r_above_one", "r has no bound of its own; the budget is clamped to 0.0", r=3.5, coh_star=0.1)
    _accepted("coh_star_at_tolerance", "coh_star exactly 1 + tolCoh", coh_star=1.05)
    _accepted("coh_star_zero", "coh_star exactly 0", coh_star=0)
    _accepted("d_hat_within_tolerance", "0.149 beside the recomputed value", D_hat=1.499)
    _accepted("d_hat_at_tolerance", "claimed 1.15, recomputed 1.0: the doubles differ by less than 0.15",
              N_j={"2": 2, "4": 4, "8": 8}, D_hat=1.15)
    _accepted("budget_within_tolerance", "0.0099 beside the recomputed budget", budget=0.4099)
    _accepted("budget_at_tolerance", "0.41 - 0.40 is less than 0.01 in doubles", budget=0.41)
    _accepted("epoch_zero", "smallest epoch", epoch=0)
    _accepted("epoch_max", "largest epoch, 2^53-1", epoch=2**53 - 1)
    _accepted("seed_min", "smallest seed", seed=-(2**63))
    _accepted("seed_max", "largest seed", seed=2**63 - 1)
    _accepted("attempt_large", "a retry may raise attempt far", attempt=4294967296)
    _accepted("attempt_max", "as far as it goes, 2^53-1", attempt=2**53 - 1)
    _accepted("sent_at_february_29", "2000 was a leap year", sent_at="2000-02-29T10:30:00Z")
    _accepted("clock_skew_negative", "ft members of every allowed kind",
              ft={"outbox_seq": 0, "degraded": False, "fallbacks": ["clock", ""], "clock_skew_ms": -86400000})
    _accepted("sent_years_ago", "no freshness window", sent_at="1999-12-31T23:59:59Z")
    _accepted("sent_at_offset", "fraction and offset", sent_at="2026-01-15T10:30:00.123456789-05:30")
    _accepted("sent_at_lower_case", "t and z may be lower case", sent_at="2026-01-15t10:30:00z")
    _accepted("sent_at_leap_second", "a leap second", sent_at="2016-12-31T23:59:60Z")
    _accepted("v_star_one", "one component", v_star=[1])
    _accepted("v_star_4096", "as many components as there may be", v_star=[0] * 4095 + [1])
    _accepted("merkle_root_short", "one hex digit", merkle_root="a")
    _accepted("merkle_root_upper_case", "hex digits of either case; the text enters pcs_id as it is", merkle_root="ABCDEFabcdef01")
    _accepted("merkle_root_128", "as long as it may be", merkle_root="0f" * 64)
    _accepted("version_minor", "unknown minor version with unknown fields", version="0.2",
              hint={"unit": "px", "levels": [1, 2.5, None, True]}, N_jj=[[], {}])
    _accepted("version_patch", "a patch number", version="0.1.7")


def _signals():
    _accepted("scales_two", "fewest scales", scales=[3, 9], N_j={"3": 3, "9": 27})
    many = list(range(1, 65))
    _accepted("scales_64", "most scales: 2,016 slopes", scales=many, N_j={str(s): s * s for s in many}, coh_star=0.3)
    _accepted("scales_unsorted", "slopes follow the order of scales", scales=[8, 2, 32, 4], N_j={"2": 4, "4": 10, "8": 26, "32": 150})
    _accepted("scales_extreme", "largest scale and largest count", scales=[1, 2**31 - 1],
              N_j={"1": 1, str(2**31 - 1): 2**53 - 1}, coh_star=0.5)
    _accepted("scales_too_close", "neighbours at 2^31: no usable slope, D_hat 0.0",
              scales=[2147483646, 2147483647], N_j={"2147483646": 5, "2147483647": 9})
    _accepted("slopes_even_upper_median", "six slopes; the mean of the two middle ones is out of tolerance",
              scales=[2, 4, 8, 16], N_j={"2": 4, "4": 5, "8": 30, "16": 31}, coh_star=0.3)
    _accepted("d_hat_negative", "fewer cells at finer scales", N_j={"2": 64, "4": 16, "8": 4})
    _accepted("counts_one", "all counts 1: D_hat 0.0", N_j={"2": 1, "4": 1, "8": 1})


def _escalations():
    d = "d_hat_out_of_tolerance"
    _escalated("escalated_d_hat", "claims 0.2 more than recomputed", d, D_hat=1.55)
    _escalated("escalated_d_hat_at_tolerance", "claimed 0.85, recomputed 1.0: the doubles differ by more than 0.15", d,
               N_j={"2": 2, "4": 4, "8": 8}, D_hat=0.85)
    _escalated("escalated_d_hat_huge", "1e308 is finite", d, D_hat=Lit("1e308"))
    _escalated("escalated_d_hat_1e16", "claimed D_hat in exponent form", d, D_hat=Lit("10000000000000000"))
    c = "coh_star_out_of_bounds"
    _escalated("escalated_coh_star_high", "above 1 + tolCoh", c, coh_star=1.0500000000000003)
    _escalated("escalated_coh_star_negative", "below 0", c, coh_star=-0.01)
    _escalated("escalated_coh_star_tiny_negative", "the claim decides, not the rounded text", c, coh_star=Lit("-5e-324"))
    g = "regime_mismatch"
    _escalated("escalated_regime", "claims mixed, is sticky", g, regime="mixed")
    _escalated("escalated_regime_threshold", "coh_star one step below 0.70 is not sticky", g, coh_star=0.6999999999999999, regime="sticky")
    b = "budget_deviation"
    _escalated("escalated_budget", "0.02 beside", b, budget=0.42)
    _escalated("escalated_budget_at_tolerance", "0.40 - 0.39 is more than 0.01 in doubles", b, budget=0.39)
    _escalated("escalated_budget_huge", "any finite budget may be claimed", b, budget=Lit("-1.7976931348623157e308"))
    ft = {"outbox_seq": 9, "degraded": True, "fallbacks": ["coh_star:default", "r:1.0"], "clock_skew_ms": 12}
    _escalated("escalated_degraded", "sound, but the agent says degraded", "degraded", ft=ft)
    _escalated("escalated_all_first_reason_wins", "five objections, the first is named", d,
               D_hat=2.0, coh_star=1.5, regime="non_sticky", budget=0.9, ft=ft)
    _escalated("escalated_coh_before_regime", "objections 2 to 5", c, coh_star=1.5, regime="non_sticky", budget=0.9, ft=ft)
    _escalated("escalated_regime_before_budget", "objections 3 to 5", g, regime="non_sticky", budget=0.9, ft=ft)
    _escalated("escalated_budget_before_degraded", "objections 4 and 5", b, budget=0.9, ft=ft)


def _unicode():
    _accepted("shard_bmp", "characters of the basic plane", shard_id="東京-Ωmega-ß-\u2028\u2029-\ufeff-\uffff")
    _accepted("shard_astral", "surrogate pairs in the payload, UTF-8 in pcs_id", shard_id="🔑-𝔘-\U0010ffff-\U00010000")
    _accepted("shard_latin_edges", "both sides of the ASCII border", shard_id=" ~\x7f\x80\xa0\xff\u0100")
    _accepted("shard_controls", "all controls and DEL, short escapes among them", shard_id="".join(map(chr, range(32))) + "\x7f")
    _accepted("shard_quotes", "quote, backslash and slash", shard_id='a"b\\c/d\\"e\\\\')
    _accepted("shard_looks_like_payload", "a separator and JSON inside the shard", shard_id='1|2","r":0.5}')
    _accepted("shard_128_bytes", "128 bytes in 32 characters", shard_id="🔑" * 32)
    _accepted("shard_one_byte", "one byte", shard_id="s")
    _accepted("shard_nul", "U+0000 alone", shard_id="\x00")
    _accepted("shard_decomposed", "no normalisation: e + U+0301", shard_id="cafe\u0301")
    _accepted("shard_composed", "no normalisation: U+00E9 is another shard", shard_id="caf\u00e9")
    fields = record("shard_escaped_input", shard_id='🔑/é"')
    fields["shard_id"] = Lit('"\\uD83D\\udd11\\/\\u00E9\\u0022"')
    _accepted("shard_escaped_input", "the same characters, spelt with escapes of both cases", body=write(fields))


def _numbers():
    def near(name, about, **given):
        _accepted(name, about, **given)

    near("number_half_up", "ninth decimal half-way, binary value below it", r=Lit("0.1234567885"))
    near("number_half_up_all", "half-way in all four", D_hat=Lit("1.3502198585"), coh_star=Lit("0.7500000005"),
         r=Lit("0.5000000005"), budget=Lit("0.4000000015"))
    near("number_half_negative", "half away from zero below zero", r=Lit("-0.0000000005"), coh_star=0.1)
    near("number_just_below_half", "0.49…e-9 rounds to zero", r=Lit("4.999999999999999e-10"))
    near("number_negative_to_zero", "rounds to -0.0", r=Lit("-4e-10"))
    near("number_negative_zero", "-0.0 keeps its sign in payload and verdict", coh_star=Lit("-0.0"), r=Lit("-0.0"))
    near("number_minus_zero_integer", "-0 is the double -0.0 too", r=Lit("-0"))
    near("number_1e-05", "below 1e-4 the exponent form starts", r=Lit("0.00001"))
    near("number_1e-05_spelt", "the same double in other words", r=Lit("1E-5"))
    near("number_9.9999e-05", "just below 1e-4", r=Lit("0.000099999"))
    near("number_1e-04", "exactly 1e-4", r=Lit("1e-4"))
    near("number_1e-09", "the smallest that survives rounding", r=Lit("1e-9"))
    near("number_1e15", "the largest power without exponent form", r=Lit("1e15"))
    near("number_below_1e16", "9999999999999998.0", r=Lit("9999999999999998"))
    near("number_1e16", "exponent form from here", r=Lit("1e16"))
    near("number_1e22", "an exact power of ten", r=Lit("1" + "0" * 22))
    near("number_1e23", "not exact, shortest text 1e+23", r=Lit("1e+23"))
    near("number_30_digits", "an integer wider than any machine word", r=Lit("123456789012345678901234567890"))
    near("number_2p53_plus_1", "ties to even when read", r=Lit("9007199254740993"))
    near("number_max", "the largest double", r=Lit("1.7976931348623157e308"))
    near("number_subnormal", "the smallest double", r=Lit("5e-324"))
    near("number_underflow", "reads as 0.0", r=Lit("1e-999"))
    near("number_zero_with_exponent", "0e999 is 0.0, not an overflow", r=Lit("0e999"))
    near("number_integral", "integers in float fields", coh_star=1, r=Lit("1"), budget=Lit("3e-1"), D_hat=Lit("135e-2"))
    near("number_long_fraction", "more digits than a double holds", r=Lit("0." + "3" * 60))
    near("number_trailing_zeros", "0.50000 is 0.5", r=Lit("0.50000"), D_hat=Lit("1.350219859000"))
    near("number_unknown_field_wide", "a 40-digit integer in an unknown field is only a number", note=Lit("9" * 40))


def _spelling():
    _accepted("compact", "no white space at all", body=write_compact(record("compact")))
    fields = record("reversed_order")
    _accepted("reversed_order", "members in reverse", body=write(dict(reversed(fields.items()))))
    fields = record("white_space")
    text = write(fields).decode().replace(":", " \t\r\n: \n").replace(",\n", " \n,\r\n\t ")
    text = text.replace("2026-01-15T10 \t\r\n: \n30 \t\r\n: \n00Z", "2026-01-15T10:30:00Z")
    _accepted("white_space", "every kind of JSON white space around it", body=("\r\n\t " + text + " \t\r\n").encode())
    text = write(record("escaped_keys")).decode().replace('"epoch"', '"\\u0065poch"').replace('"N_j"', '"\\u004e\\u005Fj"')
    _accepted("escaped_keys", "keys spelt with escapes", body=text.encode())
    _accepted("depth_32", "32 levels, the record itself counted", extra=Lit("[" * 31 + "]" * 31))
    _accepted("members_1024", "as many members as an object may have", extra={"k%04d" % i: 0 for i in range(1024)})


def _schemes():
    for scheme in keyring.SCHEMES:
        key = "agent-a" if scheme.startswith("ed25519") else "testsecret"
        name = "scheme_" + scheme.replace(";num=", "_")
        _accepted(name, "signed as %s says" % scheme, scheme=scheme, keys=(key,), r=Lit("0.1234567885"), shard_id="é🔑 " + name)
    for key in keyring.HMAC_KEYS:
        if key not in ("testsecret", "rotation-old", "rotation-new"):
            _accepted("key_" + key.replace("-", "_"), keyring.HMAC_KEYS[key][1], keys=(key,))
    both = ("rotation-old", "rotation-new")
    _accepted("rotation_new_key", "two active keys, signed by the second", keys=both)
    body = write(record("rotation_old_key", HMAC, "rotation-old"))
    _accepted("rotation_old_key", "two active keys, signed by the first", body=body, keys=both)
    body = write(record("rotation_retired_key", HMAC, "rotation-old"))
    _refused("rotation_retired_key", "only the new key is active", "signature_invalid", body=body, keys=("rotation-new",))
    body = write(record("ed25519_other_key", keyring.ED25519, "agent-b"))
    _refused("ed25519_other_key", "signed by a stranger", "signature_invalid", body=body, scheme=keyring.ED25519, keys=("agent-a",))
    _accepted("ed25519_two_keys", "two active public keys, signed by the second", scheme=keyring.ED25519, keys=("agent-b", "agent-a"))
    fields = record("ed25519_s_plus_order", keyring.ED25519, "agent-a")
    sig = base64.b64decode(fields["sig"])
    s = int.from_bytes(sig[32:], "little") + curve.L
    fields["sig"] = keyring.b64(sig[:32] + s.to_bytes(32, "little"))
    _refused("ed25519_s_plus_order", "S not reduced: the same signature must not have two spellings", "signature_invalid",
             body=write(fields), scheme=keyring.ED25519, keys=("agent-a",))
    for signed, judged in ((keyring.HMAC_PAYLOAD, HMAC), (HMAC, keyring.HMAC_PAYLOAD), (HMAC + keyring.FIXED_SUFFIX, HMAC)):
        name = "wrong_scheme_" + signed.replace(";num=", "_") + "_as_" + judged
        body = write(record(name, signed))
        _refused(name, "a scheme is never guessed", "signature_invalid", body=body, scheme=judged)


def _bad_signatures():
    def bad(name, about, sig=None, **given):
        after = {} if sig is None else {"after": {"sig": sig}}
        _refused(name, about, "signature_invalid", **after, **given)

    good = record("sig_source")["sig"]
    raw = base64.b64decode(good)
    bad("sig_wrong", "well formed, wrong bytes", keyring.b64(bytes(32)))
    bad("sig_other_record", "the signature of another record", good)
    bad("sig_empty", "empty text where signing is on", "")
    bad("sig_absent", "no sig member: still 401, not 400", DROP)
    bad("sig_null", "null is no signature", Lit("null"))
    bad("sig_number", "a number is no signature", 5)
    bad("sig_too_short", "31 bytes", keyring.b64(raw[:31]))
    bad("sig_too_long", "33 bytes", keyring.b64(raw + b"\0"))
    bad("sig_64_bytes", "an Ed25519 length under an HMAC scheme", keyring.b64(raw * 2))

    def respelt(name, about, change):
        fields = record(name)
        changed = change(fields["sig"])
        assert changed != fields["sig"], name
        fields["sig"] = changed
        _refused(name, about, "signature_invalid", body=write(fields))

    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    respelt("sig_trailing_bits", "the right bytes, unused bits not zero",
            lambda s: s[:42] + alphabet[alphabet.index(s[42]) | 1] + "=")
    respelt("sig_unpadded", "padding left out", lambda s: s.rstrip("="))
    respelt("sig_over_padded", "padding twice", lambda s: s + "=")
    respelt("sig_white_space", "a space behind it", lambda s: s + " ")
    respelt("sig_line_break", "a line break inside", lambda s: s[:20] + "\n" + s[20:])
    respelt("sig_hex", "hex instead of base64", lambda s: base64.b64decode(s).hex())
    urls = next(n for n in range(1000) if "+" in record("sig_url_alphabet", epoch=n)["sig"])
    fields = record("sig_url_alphabet", epoch=urls)
    fields["sig"] = fields["sig"].replace("+", "-").replace("/", "_")
    _refused("sig_url_alphabet", "the URL alphabet", "signature_invalid", body=write(fields))
    bad("tampered_budget", "a signed number changed behind the signature", after={"budget": 0.405})
    bad("tampered_shard", "a signed text changed behind the signature", after={"shard_id": "golden/other"})
    bad("tampered_tenth_decimal", "a change that survives rounding", after={"r": Lit("0.5000000005")})
    bad("pcs_id_wrong_sig_wrong", "401 first, whatever is wrong with pcs_id", keyring.b64(bytes(32)), pcs_id="0" * 64)
    bad("pcs_id_129_bytes", "too long to be looked at, even when signed", pcs_id="a" * 129)
    bad("merkle_root_129", "too long to be looked at, even when signed", merkle_root="a" * 129)
    bad("merkle_root_not_hex_sig_wrong", "401 first, whatever is wrong with merkle_root", keyring.b64(bytes(32)), merkle_root="xyz")


def _unsigned_changes():
    _accepted("unsigned_fields_differ", "attempt, sent_at, v_star, seed and ft are not signed",
              after={"attempt": 3, "sent_at": "2026-02-01T00:00:00Z", "seed": 1, "v_star": [1, 0, 0],
                     "ft": {"outbox_seq": 8, "degraded": False, "fallbacks": [], "clock_skew_ms": 99}})
    _accepted("tenth_decimal_unsigned", "a change below the ninth decimal keeps the signature", after={"r": Lit("0.5000000001")})


def _identity():
    for name, about, given in (
        ("pcs_id_wrong", "validly signed, another hash", {"pcs_id": "0" * 64}),
        ("pcs_id_upper_case", "the right hash in upper case", {}),
        ("pcs_id_empty", "empty text", {"pcs_id": ""}),
        ("pcs_id_128_bytes", "as long as is looked at", {"pcs_id": "a" * 128}),
        ("pcs_id_not_hex", "not hex at all", {"pcs_id": "é"}),
    ):
        if name == "pcs_id_upper_case":
            given = {"pcs_id": record(name)["pcs_id"].upper()}
        _refused(name, about, "pcs_id_mismatch", **given)
    _invalid("merkle_root_not_hex", "validly signed, not hex", merkle_root="xyz")
    _invalid("merkle_root_empty", "validly signed, empty", merkle_root="")


def _missing():
    for field in ("pcs_id schema version shard_id epoch attempt sent_at seed scales N_j coh_star v_star D_hat r budget"
                  " regime merkle_root ft").split():
        _refused("missing_" + field, "%s left out" % field, "missing_field", after={field: DROP})
    whole = {"outbox_seq": 7, "degraded": False, "fallbacks": [], "clock_skew_ms": 0}
    for field in whole:
        part = {k: v for k, v in whole.items() if k != field}
        _refused("missing_ft_" + field, "ft.%s left out" % field, "missing_field", after={"ft": part})
    _refused("empty_object", "nothing at all", "missing_field", body=b"{}")


def _wrong_fields():
    one = {
        "schema_not_string": ("schema is a number", {"schema": 1}),
        "version_not_semver": ("no version number", {"version": "one"}),
        "version_not_string": ("a number, not a text", {"version": Lit("0.1")}),
        "pcs_id_not_string": ("pcs_id must at least be a string", {"pcs_id": 12}),
        "merkle_root_not_string": ("merkle_root is null", {"merkle_root": None}),
        "shard_empty": ("empty shard_id", {"shard_id": ""}),
        "shard_129_characters": ("129 bytes in as many characters", {"shard_id": "s" * 129}),
        "shard_129_bytes": ("129 bytes in 65 characters", {"shard_id": "é" * 64 + "s"}),
        "epoch_negative": ("below 0", {"epoch": -1}),
        "epoch_too_large": ("2^53", {"epoch": 2**53}),
        "epoch_fraction": ("an integer has no fraction", {"epoch": Lit("1700000000.0")}),
        "epoch_exponent": ("an integer has no exponent", {"epoch": Lit("17e8")}),
        "epoch_string": ("a text", {"epoch": "1700000000"}),
        "attempt_zero": ("below 1", {"attempt": 0}),
        "attempt_fraction": ("1.5 attempts", {"attempt": 1.5}),
        "attempt_too_large": ("2^53", {"attempt": 2**53}),
        "sent_at_no_zone": ("no offset", {"sent_at": "2026-01-15T10:30:00"}),
        "sent_at_date_only": ("only a date", {"sent_at": "2026-01-15"}),
        "sent_at_month_13": ("month 13", {"sent_at": "2026-13-15T10:30:00Z"}),
        "sent_at_february_30": ("a day that the month lacks", {"sent_at": "2026-02-30T10:30:00Z"}),
        "sent_at_february_29": ("1900 was no leap year", {"sent_at": "1900-02-29T10:30:00Z"}),
        "sent_at_hour_24": ("hour 24", {"sent_at": "2026-01-15T24:00:00Z"}),
        "sent_at_number": ("seconds instead of a date", {"sent_at": 1700000000}),
        "seed_too_large": ("2^63", {"seed": 2**63}),
        "seed_too_small": ("-2^63-1", {"seed": -(2**63) - 1}),
        "scales_one": ("one scale", {"scales": [2], "N_j": {"2": 4}}),
        "scales_65": ("65 scales", {"scales": list(range(1, 66)), "N_j": {str(s): 1 for s in range(1, 66)}}),
        "scales_zero": ("scale 0", {"scales": [0, 2], "N_j": {"0": 1, "2": 1}}),
        "scales_too_large": ("scale 2^31", {"scales": [2, 2**31], "N_j": {"2": 1, str(2**31): 1}}),
        "scales_repeated": ("the same scale twice", {"scales": [2, 4, 2], "N_j": {"2": 1, "4": 1}}),
        "scales_fraction": ("2.0 is not an integer", {"scales": [Lit("2.0"), 4, 8]}),
        "n_j_not_object": ("an array of counts", {"N_j": [4, 10, 26]}),
        "n_j_lacks_scale": ("no entry for 8", {"N_j": {"2": 4, "4": 10}}),
        "n_j_extra_scale": ("an entry for no scale", {"N_j": {"2": 4, "4": 10, "8": 26, "16": 60}}),
        "n_j_leading_zero": ("the key is the decimal text of the scale", {"N_j": {"02": 4, "4": 10, "8": 26}}),
        "n_j_zero": ("count 0", {"N_j": {"2": 0, "4": 10, "8": 26}}),
        "n_j_too_large": ("count 2^53", {"N_j": {"2": 4, "4": 10, "8": 2**53}}),
        "n_j_fraction": ("count 4.0", {"N_j": {"2": Lit("4.0"), "4": 10, "8": 26}}),
        "coh_star_string": ("a text", {"coh_star": "0.75"}),
        "coh_star_null": ("null", {"coh_star": None}),
        "d_hat_bool": ("true is no number", {"D_hat": True}),
        "r_string": ("a text", {"r": "0.5"}),
        "budget_null": ("null", {"budget": None}),
        "v_star_empty": ("no component", {"v_star": []}),
        "v_star_4097": ("one component too many", {"v_star": [0] * 4097}),
        "v_star_string": ("a text among the numbers", {"v_star": [0, "1", 0]}),
        "v_star_object": ("not an array", {"v_star": {"x": 1}}),
        "regime_other": ("a regime that does not exist", {"regime": "fluid"}),
        "regime_upper_case": ("regimes are lower case", {"regime": "Sticky"}),
        "ft_null": ("ft is no object", {"ft": None}),
        "ft_degraded_number": ("1 is not true", {"ft": {"outbox_seq": 7, "degraded": 1, "fallbacks": [], "clock_skew_ms": 0}}),
        "ft_fallbacks_mixed": ("a number among the texts", {"ft": {"outbox_seq": 7, "degraded": False, "fallbacks": ["a", 1], "clock_skew_ms": 0}}),
        "ft_outbox_seq_fraction": ("a fraction", {"ft": {"outbox_seq": 7.5, "degraded": False, "fallbacks": [], "clock_skew_ms": 0}}),
        "ft_clock_skew_string": ("a text", {"ft": {"outbox_seq": 7, "degraded": False, "fallbacks": [], "clock_skew_ms": "0"}}),
    }
    for name, (about, after) in one.items():
        _invalid("invalid_" + name, about, after=after)
    _refused("schema_other", "another schema", "unsupported_schema", after={"schema": "fractal-lba"})
    _refused("version_major_1", "another major version", "unsupported_version", after={"version": "1.0"})
    _refused("version_major_10", "another major version with two digits", "unsupported_version", after={"version": "10.1"})


def _malformed():
    def bad(name, about, body):
        _refused("malformed_" + name, about, "malformed_json", body=body)

    def edited(name, about, old, new):
        body = write(record("malformed_" + name))
        assert body.count(old) == 1, (name, old)
        bad(name, about, body.replace(old, new))

    def extra(name, about, text):
        bad(name, about, write(record("malformed_" + name, extra=Lit(text))))

    whole = write(record("malformed_cut"))
    bad("empty", "no byte at all", b"")
    bad("white_space_only", "white space only", b" \n\t")
    bad("cut", "the last brace is missing", whole.rstrip()[:-1])
    bad("trailing", "a second value behind the object", whole + b"{}")
    bad("trailing_nul", "a NUL behind the object", whole + b"\0")
    bad("bom", "a byte order mark before the object", b"\xef\xbb\xbf" + whole)
    bad("array", "an array around the record", b"[" + whole + b"]")
    bad("string", "a text", b'"record"')
    bad("null", "null", b"null")
    edited("duplicate_key", "epoch twice", b'"seed": 42', b'"seed": 42,\n  "epoch": 1700000000')
    edited("duplicate_key_escaped", "epoch twice, once spelt with an escape", b'"seed": 42', b'"seed": 42,\n  "\\u0065poch": 1700000000')
    extra("duplicate_key_nested", "a repeated key in an unknown object", '{"a": 1, "a": 1}')
    edited("duplicate_n_j", "one scale twice", b'"4": 10', b'"4": 10, "4": 10')
    edited("1e400", "a number that overflows a double", b'"r": 0.5', b'"r": 1e400')
    edited("minus_1e400", "and below", b'"r": 0.5', b'"r": -1e400')
    edited("400_digits", "an integer that overflows a double", b'"r": 0.5', b'"r": ' + b"9" * 400)
    extra("1e400_unknown_field", "also where nobody looks", "1e400")
    edited("nan", "NaN", b'"r": 0.5', b'"r": NaN')
    edited("infinity", "Infinity", b'"r": 0.5', b'"r": Infinity')
    edited("minus_infinity", "-Infinity", b'"r": 0.5', b'"r": -Infinity')
    edited("leading_zero", "00.5", b'"r": 0.5', b'"r": 00.5')
    edited("leading_plus", "+0.5", b'"r": 0.5', b'"r": +0.5')
    edited("bare_point", ".5", b'"r": 0.5', b'"r": .5')
    edited("point_at_end", "1.", b'"r": 0.5', b'"r": 1.')
    edited("hex_number", "0x1", b'"r": 0.5', b'"r": 0x1')
    edited("single_quotes", "single quotes", b'"r": 0.5', b"'r': 0.5")
    edited("trailing_comma", "a comma behind the last member", b'"clock_skew_ms": 0}', b'"clock_skew_ms": 0,}')
    edited("comment", "a comment", b'"r": 0.5', b'"r": 0.5 /* half */')
    edited("raw_tab_in_string", "an unescaped control in a text", b'"golden/malformed_raw', b'"golden/\tmalformed_raw')
    edited("bad_escape", "an escape that JSON lacks", b'"golden/malformed_bad', b'"golden/\\x41malformed_bad')
    edited("invalid_utf8", "a byte that UTF-8 never has", b'"golden/malformed_invalid', b'"golden/\xffmalformed_invalid')
    edited("overlong_utf8", "an overlong slash", b'"golden/malformed_overlong', b'"golden\xc0\xafmalformed_overlong')
    edited("utf8_surrogate", "a surrogate in UTF-8", b'"golden/malformed_utf8', b'"golden/\xed\xa0\x80malformed_utf8')
    edited("lone_surrogate", "a high surrogate alone", b'"golden/malformed_lone', b'"golden/\\ud83dmalformed_lone')
    edited("low_surrogate", "a low surrogate alone", b'"golden/malformed_low', b'"golden/\\udd11malformed_low')
    edited("surrogates_swapped", "low before high", b'"golden/malformed_surrogates', b'"golden/\\udd11\\ud83dmalformed_surrogates')
    extra("lone_surrogate_unknown_field", "also where nobody looks", '"\\ud800"')
    extra("lone_surrogate_key", "also in a key", '{"\\udfff": 1}')
    extra("depth_33", "33 levels, the record itself counted", "[" * 32 + "]" * 32)
    extra("members_1025", "one member too many", "{" + ", ".join('"k%04d": 0' % i for i in range(1025)) + "}")
    nineteen = record("malformed_members_1025_top")
    nineteen.update({"k%04d" % i: 0 for i in range(1025 - len(nineteen))})
    bad("members_1025_top", "one member too many in the record itself", write(nineteen))


def _same_id():
    same = {"shard_id": "golden/same-id", "merkle_root": "5a" * 32}
    _accepted("same_id_first", "the first of several bodies with one id", **same)
    _accepted("same_id_retry", "a retry: higher attempt, later sent_at", attempt=2, sent_at="2026-01-15T10:31:00Z", **same)
    _accepted("same_id_below_ninth_decimal", "differs below the ninth decimal: the same signing digest", after={"r": Lit("0.50000000004")}, **same)
    _accepted("same_id_conflict", "another r, validly signed: a conflict", r=0.25, **same)
    _escalated("same_id_conflict_escalated", "another verdict, validly signed: a conflict", "budget_deviation", budget=0.9, **same)
    _refused("same_id_bad_signature", "the id with a wrong signature", "signature_invalid", after={"sig": keyring.b64(bytes(32))}, **same)
    _escalated("same_id_degraded", "ft.degraded is not signed: the same digest, so a duplicate", "degraded",
               ft={"outbox_seq": 7, "degraded": True, "fallbacks": ["r"], "clock_skew_ms": 0}, **same)


# Sequences of one installation: what each record answers when its predecessors were answered.
SEQUENCES = (
    ("retry_is_a_hit", "a retry gets the first outcome",
     (("same_id_first", "same_id_first", "miss"), ("same_id_retry", "same_id_first", "hit"), ("same_id_first", "same_id_first", "hit"))),
    ("digest_decides_not_the_body", "what is not signed cannot conflict",
     (("same_id_first", "same_id_first", "miss"), ("same_id_below_ninth_decimal", "same_id_first", "hit"),
      ("same_id_degraded", "same_id_first", "hit"))),
    ("conflict_keeps_the_first", "first write wins, also against an escalated body",
     (("same_id_first", "same_id_first", "miss"), ("same_id_conflict", "same_id_first", "conflict"),
      ("same_id_conflict_escalated", "same_id_first", "conflict"), ("same_id_first", "same_id_first", "hit"))),
    ("escalated_first_stays_202", "duplicates keep the first status",
     (("same_id_conflict_escalated", "same_id_conflict_escalated", "miss"), ("same_id_first", "same_id_conflict_escalated", "conflict"),
      ("same_id_conflict_escalated", "same_id_conflict_escalated", "hit"))),
    ("bad_signature_leaves_no_trace", "signature before dedup",
     (("same_id_bad_signature", None, None), ("same_id_first", "same_id_first", "miss"),
      ("same_id_bad_signature", None, None), ("same_id_first", "same_id_first", "hit"))),
    ("degraded_first", "the first outcome stands, though the retry is sound",
     (("same_id_degraded", "same_id_degraded", "miss"), ("same_id_first", "same_id_degraded", "hit"))),
)


def all_cases():
    """The table, made once."""
    if not CASES:
        for group in (_plain, _signals, _escalations, _unicode, _numbers, _spelling, _schemes, _bad_signatures,
                      _unsigned_changes, _identity, _missing, _wrong_fields, _malformed, _same_id):
            group()
    return CASES
