{{/* What all pods have in common; each takes (dict "root" $ "program" "sender"). */}}

{{/* Nobody here talks to Kubernetes: no token, and no variables that tell of Services. */}}
{{- define "mtc-sync.podSettings" -}}
serviceAccountName: {{ include "mtc-sync.programName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.pods.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.pods.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.pods.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "mtc-sync.containerSettings" -}}
image: {{ include "mtc-sync.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
env: {{- include "mtc-sync.env" . | trim | nindent 2 }}
resources: {{- toYaml (index .root.Values .program).resources | nindent 2 }}
{{- if or (include "mtc-sync.secrets" . | fromJsonArray) .root.Values.caBundle.existingConfigMap }}
volumeMounts:
  {{- if include "mtc-sync.secrets" . | fromJsonArray }}
  - name: secrets
    mountPath: /run/secrets/mtc-sync
    readOnly: true
  {{- end }}
  {{- if .root.Values.caBundle.existingConfigMap }}
  - name: ca-bundle
    mountPath: /etc/ssl/certs/ca-certificates.crt
    subPath: ca-certificates.crt
    readOnly: true
  {{- end }}
{{- end }}
{{- end }}

{{/* 0440 and fsGroup: the program may read its secrets, nobody may change them. */}}
{{- define "mtc-sync.volumes" -}}
{{- $secrets := include "mtc-sync.secrets" . | fromJsonArray }}
{{- if or $secrets .root.Values.caBundle.existingConfigMap }}
volumes:
  {{- if $secrets }}
  - name: secrets
    secret:
      secretName: {{ (index .root.Values .program).existingSecret }}
      defaultMode: 0440
      items:
        {{- range $secrets }}
        - {key: {{ .key | quote }}, path: {{ .file }}}
        {{- end }}
  {{- end }}
  {{- with .root.Values.caBundle }}
  {{- if .existingConfigMap }}
  - name: ca-bundle
    configMap:
      name: {{ .existingConfigMap }}
      items:
        - {key: {{ .key | quote }}, path: ca-certificates.crt}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}
