{{/* Names and labels. */}}
{{- define "flk.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "flk.fullname" -}}
{{- $name := include "flk.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "flk.selectorLabels" -}}
app.kubernetes.io/name: {{ include "flk.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "flk.labels" -}}
{{ include "flk.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "flk.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "flk.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "flk.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* What Pod Security `restricted` asks of a pod and of a container. */}}
{{- define "flk.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: {{ .Values.seccomp.type }}
  {{- if eq .Values.seccomp.type "Localhost" }}
  localhostProfile: {{ .Values.seccomp.localhostProfile }}
  {{- end }}
{{- end -}}

{{- define "flk.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "flk.testResources" -}}
requests: {cpu: 50m, memory: 64Mi}
limits: {cpu: 500m, memory: 128Mi}
{{- end -}}

{{/* What the test's containers show at /metrics. */}}
{{- define "flk.testMetricsAuth" -}}
{{- range list "METRICS_USER" "METRICS_PASS" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef: {name: {{ $.Values.metricsBasicAuth.secret }}, key: {{ . }}}
{{- end }}
{{- end -}}

{{/* Seconds of a time such as 14d, 12h, 30m or 5s. */}}
{{- define "flk.seconds" -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9]+" $text | int64 -}}
{{- $unit := regexFind "[a-z]+$" $text -}}
{{- if eq $unit "d" -}}{{ mul $number 86400 }}
{{- else if eq $unit "h" -}}{{ mul $number 3600 }}
{{- else if eq $unit "m" -}}{{ mul $number 60 }}
{{- else -}}{{ $number }}
{{- end -}}
{{- end -}}

{{/* Bytes of a size such as 4Gi (Kubernetes) or 4GiB (flk). */}}
{{- define "flk.bytes" -}}
{{- $text := toString . | trimSuffix "B" -}}
{{- $number := regexFind "^[0-9]+" $text | int64 -}}
{{- $unit := regexFind "[A-Za-z]+$" $text -}}
{{- if eq $unit "Ti" -}}{{ mul $number 1099511627776 }}
{{- else if eq $unit "Gi" -}}{{ mul $number 1073741824 }}
{{- else if eq $unit "Mi" -}}{{ mul $number 1048576 }}
{{- else if eq $unit "Ki" -}}{{ mul $number 1024 }}
{{- else -}}{{ $number }}
{{- end -}}
{{- end -}}

{{/* CPUs of a quantity such as 2000m or 2, rounded down. */}}
{{- define "flk.cpus" -}}
{{- $text := toString . -}}
{{- if hasSuffix "m" $text -}}
{{- div (trimSuffix "m" $text | int64) 1000 -}}
{{- else -}}
{{- $text | int64 -}}
{{- end -}}
{{- end -}}

{{/* Gateways that there are at least. */}}
{{- define "flk.replicas" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled | int -}}
{{- end -}}

{{/*
The number that the set is given. None with an autoscaler, whose number stays then. But a set that was installed without one loses its
number, and is scaled to one gateway, when an upgrade no longer says it: it is told the number that it has, now and in later upgrades.
*/}}
{{- define "flk.fixedReplicas" -}}
{{- if not .Values.autoscaling.enabled -}}
{{ .Values.replicaCount }}
{{- else -}}
{{- with lookup "apps/v1" "StatefulSet" .Release.Namespace (include "flk.fullname" .) -}}
{{- if eq (dig "metadata" "annotations" "flk.io/replicas" "" .) "fixed" -}}
{{ .spec.replicas | int }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "flk.shards" -}}
{{- if eq .Values.resources.profile "pinned" -}}
{{ int64 .Values.resources.cpu.cores }}
{{- else -}}
{{ max 1 (include "flk.cpus" .Values.resources.unpinned.limits.cpu | int64) }}
{{- end -}}
{{- end -}}

{{- define "flk.memory" -}}
{{- if eq .Values.resources.profile "pinned" -}}
{{ .Values.resources.memory }}
{{- else -}}
{{ .Values.resources.unpinned.limits.memory }}
{{- end -}}
{{- end -}}
