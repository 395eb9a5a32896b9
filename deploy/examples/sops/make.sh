#!/usr/bin/env bash
# Makes secret.sops.yaml anew from the plain Secret in it, with the test-only identity beside it. Needs sops and age-keygen.
set -euo pipefail
cd "$(dirname "$0")"
[ -e test-only.identity ] || age-keygen -o test-only.identity
recipient=$(age-keygen -y test-only.identity)
printf '# Which parts of which files SOPS encrypts, and to whom. Replace the recipient by your own (age-keygen -y keys.txt).\ncreation_rules:\n  - path_regex: \\.sops\\.yaml$\n    encrypted_regex: ^(data|stringData)$\n    age: %s\n' "$recipient" > .sops.yaml
trap 'rm -f secret.plain.sops.yaml' EXIT
cat > secret.plain.sops.yaml <<'YAML'
apiVersion: v1
kind: Secret
metadata:
    name: flk-keys
type: Opaque
stringData:
    acme.current: example-key-of-acme-not-for-real-use-1
    acme.previous: example-key-of-acme-not-for-real-use-0
    default: example-key-of-all-others-not-for-real-use
YAML
sops encrypt secret.plain.sops.yaml > secret.sops.yaml
