#!/usr/bin/env bash
# Makes the fixtures beside it by the real tools, once: sops, age and age-keygen, whose versions are in README.md. The
# identities in them are for tests only. It changes nothing else.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf sops age *.identity
mkdir sops age
umask 022
age-keygen -o first.identity 2>/dev/null
age-keygen -o second.identity 2>/dev/null
first=$(age-keygen -y first.identity)
second=$(age-keygen -y second.identity)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'fixture-key-of-acme-0123456789abcdef\n' > "$work/key"
age -r "$first" -o age/key.age "$work/key"
age -a -r "$second" -r "$first" -o age/key.armored.age "$work/key"
age -a -r "$second" -o age/key.for-second.age "$work/key"
: > "$work/empty"
age -r "$first" -o age/empty.age "$work/empty"
head -c 150000 /dev/zero | tr '\0' 'k' > "$work/long"
age -r "$first" -o age/long.age "$work/long"

cat > "$work/keys.yaml" <<'YAML'
# the keys of all tenants
version_unencrypted: 7
made_unencrypted: 2026-11-29
acme:
  # rotated every 90 days
  current: fixture-key-of-acme-0123456789abcdef
  previous: fixture-key-of-acme-before-89abcdef
beta:
  - fixture-key-of-beta-0-0123456789abcde
  - fixture-key-of-beta-1-0123456789abcde
many: |
  line one
  line two
count: 12
share: 0.25
on: true
none: null
empty: ""
YAML
cat > "$work/keys.json" <<'JSON'
{"z": "first in the file", "acme": {"current": "fixture-key-of-acme-0123456789abcdef", "list": ["a", 2, 2.5, false, null]},
 "note_unencrypted": {"a": 1, "b": [true, 1.5, "text"]}, "a": "last, with \"quotes\" and Ümlaut\n"}
JSON
printf '# a comment\nACME_KEY=fixture-key-of-acme-0123456789abcdef\nBETA_KEY=one\\ntwo\nNOTE_unencrypted=open\n' > "$work/keys.env"
encrypt() { SOPS_AGE_KEY_FILE= sops encrypt --age "$first" "$@"; }
for format in yaml json env; do encrypt "$work/keys.$format" > "sops/keys.$format"; done
encrypt --input-type binary "$work/key" > sops/key.binary
printf 'creation_rules:\n  - age: %s\n    mac_only_encrypted: true\n' "$first" > "$work/.sops.yaml"
sops --config "$work/.sops.yaml" encrypt "$work/keys.yaml" > sops/mac-only-encrypted.yaml
encrypt --encrypted-suffix _secret --input-type yaml --output-type yaml <(printf 'name: acme\nkey_secret: fixture-key-of-acme-0123456789abcdef\n') > sops/encrypted-suffix.yaml
encrypt --encrypted-regex '^(data|stringData)$' --input-type yaml --output-type yaml <(printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: flk-keys\nstringData:\n  acme.key: fixture-key-of-acme-0123456789abcdef\n') > sops/secret.yaml
sops encrypt --age "$first,$second" "$work/keys.json" > sops/two-recipients.json
sops encrypt --age "$second" "$work/keys.json" > sops/for-second.json
encrypt --input-type ini --output-type ini <(printf '[acme]\nkey = fixture\n') > sops/keys.ini
