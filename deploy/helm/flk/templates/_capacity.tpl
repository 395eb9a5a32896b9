{{/*
The formulas of docs/storage.md and docs/operations.md ("Sizing memory"), for one pod. A test compares them with those pages.
  log     = bodies per second × (bytes of a body + 230) × seconds that bodies are kept
  slices  = new ids per second × seconds of DEDUP_TTL × 75.04
  open    = shards × 3 × WAL_SEGMENT_BYTES
  WAL_DIR = log + slices + open + a tenth of the slices, and the cap is 80 % of the file system
*/}}
{{- define "flk.ids" -}}
{{- $ttl := include "flk.seconds" (.Values.config.dedup.ttl | default "14d") | int64 -}}
{{ mul (int64 .Values.capacity.recordsPerSecond) $ttl }}
{{- end -}}

{{- define "flk.logBytes" -}}
{{- $age := include "flk.seconds" (.Values.config.wal.max_age | default "14d") | int64 -}}
{{ mul (int64 .Values.capacity.recordsPerSecond) (add (int64 .Values.capacity.bodyBytes) 230) $age }}
{{- end -}}

{{- define "flk.sliceBytes" -}}
{{ div (mul (include "flk.ids" . | int64) 7504) 100 }}
{{- end -}}

{{- define "flk.openBytes" -}}
{{- $segment := include "flk.bytes" (.Values.config.wal.segment_bytes | default "64MiB") | int64 -}}
{{ mul (include "flk.shards" . | int64) 3 $segment }}
{{- end -}}

{{/* The size of the volume that the values ask for, in whole GiB. */}}
{{- define "flk.volumeNeeded" -}}
{{- if .Values.persistence.size -}}
{{ .Values.persistence.size }}
{{- else -}}
{{- $slices := include "flk.sliceBytes" . | int64 -}}
{{- $files := add (include "flk.logBytes" . | int64) $slices (div $slices 10) (include "flk.openBytes" . | int64) -}}
{{ add (div (div (mul $files 5) 4) 1073741824) 1 }}Gi
{{- end -}}
{{- end -}}

{{/* The claim of the release that is there: the API server refuses every change of it. Empty before an install, and in `helm template`. */}}
{{- define "flk.madeClaim" -}}
{{- with lookup "apps/v1" "StatefulSet" .Release.Namespace (include "flk.fullname" .) -}}
{{- first .spec.volumeClaimTemplates | toJson -}}
{{- end -}}
{{- end -}}

{{/* The size in the template of claims: that of the first install. */}}
{{- define "flk.volumeSize" -}}
{{- $made := include "flk.madeClaim" . -}}
{{- if $made -}}
{{ (fromJson $made).spec.resources.requests.storage }}
{{- else -}}
{{ include "flk.volumeNeeded" . }}
{{- end -}}
{{- end -}}

{{/* A line for each claim that is smaller than the values ask for. */}}
{{- define "flk.smallClaims" -}}
{{- $needed := include "flk.volumeNeeded" . -}}
{{- range (lookup "v1" "PersistentVolumeClaim" .Release.Namespace "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- if and (eq (get $labels "app.kubernetes.io/instance") $.Release.Name) (eq (get $labels "app.kubernetes.io/name") (include "flk.name" $)) -}}
{{- if lt (include "flk.bytes" .spec.resources.requests.storage | int64) (include "flk.bytes" $needed | int64) }}
kubectl -n {{ $.Release.Namespace }} patch pvc {{ .metadata.name }} -p '{"spec":{"resources":{"requests":{"storage":"{{ $needed }}"}}}}'    # has {{ .spec.resources.requests.storage }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The tables of ids that are not sealed: a quarter of the memory, at most 1 GiB, unless config.dedup.memory_max says it. */}}
{{- define "flk.tableBytes" -}}
{{- if .Values.config.dedup.memory_max -}}
{{ include "flk.bytes" .Values.config.dedup.memory_max }}
{{- else -}}
{{ min 1073741824 (div (include "flk.bytes" (include "flk.memory" .) | int64) 4) }}
{{- end -}}
{{- end -}}

{{/* The least memory of a gateway: process, shards, tables and a quarter of them for a seal, filters and indexes of slices. */}}
{{- define "flk.memoryNeeded" -}}
{{- $tables := include "flk.tableBytes" . | int64 -}}
{{- $filters := add (div (mul (include "flk.ids" . | int64) 1893) 1000) (mul 20 61440) -}}
{{ add 16777216 (mul 17825792 (include "flk.shards" . | int64)) $tables (div $tables 4) $filters }}
{{- end -}}

{{/* Seconds within which a start answers: 150, and reading the filters at 50 MB/s. */}}
{{- define "flk.startSeconds" -}}
{{ add 150 (div (mul (include "flk.ids" . | int64) 2) 50000000) }}
{{- end -}}
