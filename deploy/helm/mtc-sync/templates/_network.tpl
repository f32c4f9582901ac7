{{/* The port a server listens on, unless networkPolicy says another; takes the server's name. */}}
{{- define "mtc-sync.serverPort" -}}
{{- $values := .root.Values }}
{{- $said := int (index $values.networkPolicy .server).port }}
{{- if $said }}
{{- $said }}
{{- else if eq .server "mtconnect" }}
{{- include "mtc-sync.urlPort" $values.mtconnect.baseUrl }}
{{- else if eq .server "management" }}
{{- include "mtc-sync.urlPort" $values.rabbitmq.managementUrl }}
{{- else }}
{{- int (index $values .server).port }}
{{- end }}
{{- end }}

{{- define "mtc-sync.urlPort" -}}
{{- $url := urlParse . }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" }}
{{- default (eq $url.scheme "https" | ternary "443" "80") $port }}
{{- end }}

{{- define "mtc-sync.egress" -}}
{{- $values := .root.Values }}
- ports:
    - {protocol: UDP, port: {{ $values.networkPolicy.dns.port }}}
    - {protocol: TCP, port: {{ $values.networkPolicy.dns.port }}}
  {{- with $values.networkPolicy.dns.to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- $servers := include "mtc-sync.uses" . | fromJsonArray }}
{{- if and (eq .program "mtcctl") $values.rabbitmq.managementUrl }}
{{- $servers = append $servers "management" }}
{{- end }}
{{- range $server := $servers }}
- ports:
    - protocol: TCP
      port: {{ include "mtc-sync.serverPort" (dict "root" $.root "server" $server) }}
  {{- with (index $values.networkPolicy $server).to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
