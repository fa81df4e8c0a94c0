{{- define "mirumoji.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "mirumoji.selector" -}}
app.kubernetes.io/name: mirumoji-worker
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "mirumoji.labels" -}}
{{ include "mirumoji.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "mirumoji.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "mirumoji.drain" -}}
{{ .Values.settings.MIRUMOJI_DRAIN | default 20 }}
{{- end }}

{{/* What every container of ours is denied. */}}
{{- define "mirumoji.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* A variable for each setting, and one for each of the secrets that are named. */}}
{{- define "mirumoji.environment" -}}
{{- range $name, $value := .root.Values.settings }}
- name: {{ $name }}
  {{- if kindIs "float64" $value }}
  value: {{ printf "%v" (ternary (int64 $value) $value (eq (floor $value) $value)) | quote }}
  {{- else }}
  value: {{ $value | quote }}
  {{- end }}
{{- end }}
{{- $secret := required "secrets.existingSecret: name the Secret with REDIS_URL, BOARD_USERS, MODAL_TOKEN_ID and MODAL_TOKEN_SECRET" .root.Values.secrets.existingSecret }}
{{- range $name := .secrets }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $name }}
      optional: {{ has $name (list "OTEL_EXPORTER_OTLP_HEADERS" "MIRUMOJI_LLM_KEY" "MIRUMOJI_S3_CONNECTIONS") }}
{{- end }}
{{- end }}

{{- define "mirumoji.servedEnvironment" -}}
- { name: HOST_MEDIA_PATH, value: /media }
- { name: MIRUMOJI_HTTP_HOST, value: 0.0.0.0 }
- { name: MIRUMOJI_HTTP_PORT, value: "9464" }
{{- if .Values.gpuHost.enabled }}
{{- if .Values.settings.MODAL_SERVER_URL }}{{ fail "settings.MODAL_SERVER_URL and gpuHost.enabled: set one of them" }}{{ end }}
- { name: MODAL_SERVER_URL, value: "http://{{ include "mirumoji.name" . }}-gpu-host:50051" }
{{- end }}
{{- end }}

{{/* A pod that does not live is restarted; one that is not ready (Redis away, disk full) is left to wait. */}}
{{- define "mirumoji.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: http }
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /livez, port: http }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}

{{- define "mirumoji.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "mirumoji.podBasics" -}}
serviceAccountName: {{ include "mirumoji.name" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* How long the oldest job waits, in seconds; 0 where nobody waits, or where more workers would not help. */}}
{{- define "mirumoji.waitingQuery" -}}
{{- $in := printf "{namespace=%q}" .Release.Namespace -}}
max((max by (queue) (mirumoji_queue_oldest_waiting_age_seconds{{ $in }}) unless on (queue) max by (queue) (mirumoji_queue_paused{{ $in }}) == 1 unless on () max(mirumoji_pool_paused{{ $in }}) == 1) or vector(0))
{{- end }}

{{/* Workers whose places the running jobs fill: without them the pool would give back what it runs. */}}
{{- define "mirumoji.busyQuery" -}}
{{- $in := printf "namespace=%q,state=\"active\"" .Release.Namespace -}}
max(max by (queue) (mirumoji_queue_jobs{ {{- $in -}} ,queue="transcribe"}) / {{ .Values.settings.MIRUMOJI_TRANSCRIBE_CONCURRENCY | default 4 }} or max by (queue) (mirumoji_queue_jobs{ {{- $in -}} ,queue="convert"}) / {{ .Values.settings.MIRUMOJI_CONVERT_CONCURRENCY | default 4 }} or vector(0))
{{- end }}
