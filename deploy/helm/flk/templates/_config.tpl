{{/*
flk.toml. A scalar or a list of texts has the same form in JSON and TOML, so toJson writes it. Two parts: what a restart is needed
for, whose digest is an annotation of the pod, and what flk-control brings into force while the gateway serves.
*/}}
{{- define "flk.config.restart" -}}
[http]
port = 8080
listen = "0.0.0.0"
drain_delay = {{ .Values.drainDelay | toJson }}
{{- if .Values.ingress.trustedProxies }}
trusted_proxies = {{ .Values.ingress.trustedProxies | toJson }}
{{- end }}
{{- include "flk.config.keys" .Values.config.http }}
{{- range $section := list "wal" "dedup" "process" "log" "traces" }}
{{- $keys := include "flk.config.keys" (index $.Values.config $section) }}
{{- if and (eq $section "process") $.Values.age.secret }}
{{- $keys = printf "\nage_identity_file = \"/etc/flk/age/keys.txt\"%s" $keys }}
{{- end }}
{{- if $keys }}

[{{ $section }}]
{{- $keys }}
{{- end }}
{{- end }}
{{- if .Values.control.enabled }}

[control]
dir = "/var/lib/flk/control"
{{- if .Values.control.tokensSecret }}

[admin]
listen = "0.0.0.0:8081"
tokens_file = "/etc/flk/admin/tokens"
{{- end }}
{{- end }}
{{- if .Values.metricsBasicAuth.enabled }}

[metrics]
password_file = "/etc/flk/metrics/METRICS_PASS"
{{- end }}
{{- end -}}

{{- define "flk.config.live" -}}
[signing]
{{- if not .Values.signing.enabled }}
alg = "none"
allow_unsigned = true
{{- else }}
alg = {{ .Values.signing.alg | toJson }}
{{- if not (hasPrefix "ed25519" .Values.signing.alg) }}
hmac_key_file = "/etc/flk/keys/default/PCS_HMAC_KEY"
{{- else if .Values.signing.ed25519.publicB64 }}
ed25519_public = {{ .Values.signing.ed25519.publicB64 | toJson }}
{{- end }}
{{- end }}
{{- with include "flk.config.keys" .Values.config.limits }}

[limits]
{{- . }}
{{- end }}
{{- range .Values.tenants }}

[[tenants]]
{{- include "flk.config.keys" (omit . "keys" "params") }}
{{- range .keys }}
[[tenants.keys]]
{{- include "flk.config.keys" . }}
{{- end }}
{{- range .params }}
[[tenants.params]]
{{- include "flk.config.keys" . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* One line for each key, each after a line end. */}}
{{- define "flk.config.keys" -}}
{{- range $key, $value := . }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end -}}

{{- define "flk.needsHmacSecret" -}}
{{- if and .Values.signing.enabled (not (hasPrefix "ed25519" .Values.signing.alg)) -}}true{{- end -}}
{{- end -}}

{{/* What both processes are given beside the file. */}}
{{- define "flk.env" -}}
- name: FLK_CONFIG
  value: /etc/flk/config/flk.toml
- name: WAL_DIR
  value: /var/lib/flk/wal
{{- if eq .Values.resources.profile "pinned" }}
- name: FLK_CORES
  value: {{ .Values.resources.cpu.cores | quote }}
{{- end }}
- name: DEDUP_BACKEND
  value: {{ .Values.env.dedupBackend }}
{{- if .Values.region.id }}
- name: REGION_ID
  value: {{ .Values.region.id | quote }}
{{- end }}
{{- if and .Values.signing.enabled (hasPrefix "ed25519" .Values.signing.alg) (not .Values.signing.ed25519.publicB64) }}
- name: PCS_ED25519_PUB_B64
  valueFrom:
    configMapKeyRef:
      name: {{ .Values.signing.ed25519.configMap }}
      key: PCS_ED25519_PUB_B64
      optional: true
{{- end }}
{{- if .Values.metricsBasicAuth.enabled }}
- name: METRICS_USER
  valueFrom:
    secretKeyRef:
      name: {{ .Values.metricsBasicAuth.secret }}
      key: METRICS_USER
      optional: true
{{- end }}
{{- end -}}

{{/* What is mounted to read. A Secret that is missing does not keep a pod from starting: its first log line names the file. */}}
{{- define "flk.mounts" -}}
- name: config
  mountPath: /etc/flk/config
  readOnly: true
{{- if include "flk.needsHmacSecret" . }}
- name: key-default
  mountPath: /etc/flk/keys/default
  readOnly: true
{{- end }}
{{- range .Values.keySecrets }}
- name: key-{{ . }}
  mountPath: /etc/flk/keys/{{ . }}
  readOnly: true
{{- end }}
{{- if .Values.age.secret }}
- name: age
  mountPath: /etc/flk/age
  readOnly: true
{{- end }}
{{- if .Values.metricsBasicAuth.enabled }}
- name: metrics
  mountPath: /etc/flk/metrics
  readOnly: true
{{- end }}
{{- if .Values.control.tokensSecret }}
- name: admin
  mountPath: /etc/flk/admin
  readOnly: true
{{- end }}
{{- end -}}

{{- define "flk.volumes" -}}
- name: config
  configMap:
    name: {{ include "flk.fullname" . }}
{{- if include "flk.needsHmacSecret" . }}
{{ include "flk.secretVolume" (list "key-default" .Values.signing.hmac.secret "PCS_HMAC_KEY") }}
{{- end }}
{{- range .Values.keySecrets }}
{{ include "flk.secretVolume" (list (printf "key-%s" .) . "") }}
{{- end }}
{{- if .Values.age.secret }}
{{ include "flk.secretVolume" (list "age" .Values.age.secret "keys.txt") }}
{{- end }}
{{- if .Values.metricsBasicAuth.enabled }}
{{ include "flk.secretVolume" (list "metrics" .Values.metricsBasicAuth.secret "METRICS_PASS") }}
{{- end }}
{{- if .Values.control.tokensSecret }}
{{ include "flk.secretVolume" (list "admin" .Values.control.tokensSecret "tokens") }}
{{- end }}
{{- end -}}

{{- define "flk.secretVolume" -}}
- name: {{ index . 0 }}
  secret:
    secretName: {{ index . 1 }}
    defaultMode: 0440
    optional: true
    {{- with index . 2 }}
    items: [{key: {{ . }}, path: {{ . }}}]
    {{- end }}
{{- end -}}
