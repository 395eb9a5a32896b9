{{/* What no schema can say: values that do not go together. Each message names the value to change. */}}
{{- define "flk.validate" -}}
{{- $values := .Values -}}
{{- $name := include "flk.fullname" . -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the gateways would be called %q, by the name of the release, nameOverride or fullnameOverride: Services allow a-z, 0-9 and -, with a letter first; set fullnameOverride" $name) -}}
{{- end -}}
{{- include "flk.validateRanges" . -}}
{{- $traces := $values.config.traces -}}
{{- if and $values.networkPolicy.enabled (or $traces.otlp_endpoint $traces.otlp_traces_endpoint) (not $values.networkPolicy.egress) -}}
{{- fail "config.traces names a collector, and networkPolicy.egress lets no connection out: add a rule to networkPolicy.egress" -}}
{{- end -}}
{{- $pdb := $values.podDisruptionBudget -}}
{{- $replicas := include "flk.replicas" . | int -}}
{{- if and $pdb.enabled (ge (int $pdb.minAvailable) $replicas) -}}
{{- $name := ternary "autoscaling.minReplicas" "replicaCount" $values.autoscaling.enabled -}}
{{- fail (printf "podDisruptionBudget.minAvailable is %d and %s %d: no pod could ever be evicted; lower minAvailable below %s, or set podDisruptionBudget.enabled=false" (int $pdb.minAvailable) $name $replicas $name) -}}
{{- end -}}
{{- $scale := $values.autoscaling -}}
{{- if and $scale.enabled (gt (int $scale.minReplicas) (int $scale.maxReplicas)) -}}
{{- fail (printf "autoscaling.minReplicas is %d and maxReplicas %d: minReplicas must not be above maxReplicas" (int $scale.minReplicas) (int $scale.maxReplicas)) -}}
{{- end -}}
{{- $memory := include "flk.bytes" (include "flk.memory" .) | int64 -}}
{{- $needed := include "flk.memoryNeeded" . | int64 -}}
{{- if lt $memory $needed -}}
{{- $name := ternary "resources.memory" "resources.unpinned.limits.memory" (eq $values.resources.profile "pinned") -}}
{{- fail (printf "%s is %s, and capacity.recordsPerSecond=%d with config.dedup.ttl needs %dMi: raise it, or lower capacity.recordsPerSecond, config.dedup.ttl or config.dedup.memory_max" $name (include "flk.memory" .) (int64 $values.capacity.recordsPerSecond) (add (div $needed 1048576) 1)) -}}
{{- end -}}
{{- if and (eq $values.seccomp.type "RuntimeDefault") (eq ($values.config.process.driver | default "auto") "uring") -}}
{{- fail "config.process.driver=uring does not start under seccomp.type=RuntimeDefault, which refuses io_uring: set seccomp.type=Localhost, or driver=auto" -}}
{{- end -}}
{{- if and $values.ingress.enabled (not $values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host" -}}
{{- end -}}
{{- if and $values.control.scrapeTokenSecret (not $values.control.tokensSecret) -}}
{{- fail "control.scrapeTokenSecret needs control.tokensSecret: without tokens the admin API is reached from its own pod only" -}}
{{- end -}}
{{- if and $values.control.tokensSecret (not $values.control.enabled) -}}
{{- fail "control.tokensSecret needs control.enabled=true" -}}
{{- end -}}
{{- with include "flk.madeClaim" . -}}
{{- $made := fromJson . -}}
{{- $class := $made.spec.storageClassName | default "" -}}
{{- if ne $values.persistence.storageClass $class -}}
{{- fail (printf "persistence.storageClass is %q, and this release has claims with %q, which Kubernetes does not let a StatefulSet change: keep it, or install another release and move its senders" $values.persistence.storageClass $class) -}}
{{- end -}}
{{- if ne (toJson $values.persistence.annotations) (toJson ($made.metadata.annotations | default dict)) -}}
{{- fail (printf "persistence.annotations differ from those of this release's claims (%s), which Kubernetes does not let a StatefulSet change: annotate the claims themselves (kubectl annotate pvc)" (toJson ($made.metadata.annotations | default dict))) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What flk allows for times and sizes, so that no pod is started with a file that it refuses. A test compares them with flk's own. */}}
{{- define "flk.validateRanges" -}}
{{- $config := .Values.config -}}
{{- $ranges := list
  (list "drainDelay" .Values.drainDelay "flk.seconds" "0s" "1h")
  (list "config.http.keepalive" $config.http.keepalive "flk.seconds" "1s" "1h")
  (list "config.http.body_max" $config.http.body_max "flk.bytes" "1KiB" "1MiB")
  (list "config.http.batch_max_bytes" $config.http.batch_max_bytes "flk.bytes" "1KiB" "4MiB")
  (list "config.wal.max_age" $config.wal.max_age "flk.seconds" "1m" "10000d")
  (list "config.wal.max_bytes" $config.wal.max_bytes "flk.bytes" "64MiB" "1024TiB")
  (list "config.wal.segment_bytes" $config.wal.segment_bytes "flk.bytes" "4MiB" "1GiB")
  (list "config.dedup.ttl" $config.dedup.ttl "flk.seconds" "1s" "1000d")
  (list "config.dedup.memory_max" $config.dedup.memory_max "flk.bytes" "1MiB" "16TiB")
-}}
{{- range $ranges -}}
{{- $key := index . 0 -}}
{{- $value := index . 1 -}}
{{- $unit := index . 2 -}}
{{- if $value -}}
{{- $number := include $unit $value | int64 -}}
{{- if or (lt $number (include $unit (index . 3) | int64)) (gt $number (include $unit (index . 4) | int64)) -}}
{{- fail (printf "%s is %s: allowed are %s to %s" $key $value (index . 3) (index . 4)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $config.wal.segment_bytes -}}
{{- if mod (include "flk.bytes" . | int64) 4096 -}}
{{- fail (printf "config.wal.segment_bytes is %s: a multiple of 4KiB is needed" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
