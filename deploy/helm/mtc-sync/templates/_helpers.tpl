{{/* Names and labels. */}}

{{- define "mtc-sync.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 44 | trimSuffix "-" }}
{{- end }}

{{/* 44: the longest of what follows it, "-scheduler-metrics", makes it the 63 of a DNS label. */}}
{{- define "mtc-sync.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 44 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 44 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Of one program; all below take (dict "root" $ "program" "sender"). */}}

{{- define "mtc-sync.programName" -}}
{{ include "mtc-sync.fullname" .root }}-{{ .program }}
{{- end }}

{{- define "mtc-sync.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mtc-sync.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .program }}
{{- end }}

{{- define "mtc-sync.labels" -}}
{{ include "mtc-sync.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mtc-sync
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "mtc-sync.image" -}}
{{- $image := .Values.image -}}
{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}
{{- else }}:{{ default .Chart.AppVersion $image.tag }}
{{- end }}
{{- end }}
