{{/*
What each program is: the port of /metrics, /healthz and /readyz, the servers it talks to, and the
sections of options it reads. Its environment, secrets and network policy all follow from this.
*/}}
{{- define "mtc-sync.programs" -}}
producer:
  port: 9464
  uses: [rabbitmq, postgres]
  sections: [log, amqp, postgres, producer]
sender:
  port: 9465
  uses: [rabbitmq, redis, mtconnect]
  sections: [log, amqp, redis, mtconnect, sender]
scheduler:
  port: 9466
  uses: [rabbitmq, postgres, mtconnect]
  sections: [log, amqp, postgres, mtconnect, scheduler]
receiver:
  port: 9467
  uses: [rabbitmq, postgres, redis, mtconnect]
  sections: [log, amqp, postgres, redis, mtconnect, receiver]
mtcctl:
  uses: [rabbitmq, postgres, redis, mtconnect]
  sections: [log, amqp, postgres, redis, mtconnect]
migrate:
  uses: [postgres]
  sections: [log, postgres]
{{- end }}

{{/* Which of them run as a Deployment; a YAML list. */}}
{{- define "mtc-sync.deployed" -}}
[producer, sender, scheduler
{{- if .Values.useWebhook }}, receiver{{ end }}
{{- if .Values.mtcctl.enabled }}, mtcctl{{ end }}]
{{- end }}

{{/*
The servers that one program talks to in this installation; a YAML list. Redis can be done without.
*/}}
{{- define "mtc-sync.uses" -}}
{{- $uses := (index (include "mtc-sync.programs" .root | fromYaml) .program).uses }}
{{- if not .root.Values.redis.enabled }}{{ $uses = without $uses "redis" }}{{ end }}
{{- $uses | toJson }}
{{- end }}

{{/*
The secrets one program gets: what it is for, the key in the program's Secret, and the option that
names the file. Nothing but the keys of the servers it uses.
*/}}
{{- define "mtc-sync.secrets" -}}
{{- $values := index .root.Values .program }}
{{- $wanted := include "mtc-sync.uses" . | fromJsonArray }}
{{- if eq .program "receiver" }}
{{- $wanted = concat $wanted (list "webhook" "webhookSecond") }}
{{- else if eq .program "mtcctl" }}
{{- $wanted = append $wanted "webhook" }}
{{- end }}
{{- $options := dict "rabbitmq" "MTC_AMQP_PASSWORD_FILE" "postgres" "MTC_POSTGRES_PASSWORD_FILE"
    "redis" "MTC_REDIS_PASSWORD_FILE" "mtconnect" "MTC_MTCONNECT_API_KEY_FILE"
    "webhook" "MTC_RECEIVER_SECRET_FILE" "webhookSecond" "MTC_RECEIVER_SECOND_SECRET_FILE" }}
{{- $secrets := list }}
{{- range $what := $wanted }}
{{- with index $values.keys $what }}
{{- $secrets = append $secrets (dict "file" $what "key" . "option" (index $options $what)) }}
{{- end }}
{{- end }}
{{- $secrets | toJson }}
{{- end }}

{{/* An option's value as the programs read it: a large number must not become 1e+06. */}}
{{- define "mtc-sync.optionText" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* The addresses of the servers. User names stand in them, passwords do not. */}}
{{- define "mtc-sync.serverEnv" -}}
{{- $values := .root.Values }}
{{- $users := (index $values .program).users }}
{{- range include "mtc-sync.uses" . | fromJsonArray }}
{{- if eq . "rabbitmq" }}
- name: MTC_AMQP_URL
  value: {{ printf "amqp://%s@%s:%d/%s" $users.rabbitmq $values.rabbitmq.host
    (int $values.rabbitmq.port) (urlquery $values.rabbitmq.vhost) | quote }}
- name: MTC_TOPOLOGY_PARTITIONS
  value: {{ int $values.partitions | quote }}
{{- else if eq . "postgres" }}
- name: MTC_POSTGRES_CONNINFO
  value: {{ printf "host=%s port=%d user=%s dbname=%s %s" $values.postgres.host
    (int $values.postgres.port) $users.postgres $values.postgres.database
    $values.postgres.parameters | trim | quote }}
{{- else if eq . "redis" }}
- name: MTC_REDIS_URL
  {{- $user := empty $users.redis | ternary "" (printf "%s@" $users.redis) }}
  value: {{ printf "redis://%s%s:%d/%d" $user $values.redis.host (int $values.redis.port)
    (int $values.redis.database) | quote }}
{{- else if eq . "mtconnect" }}
- name: MTC_MTCONNECT_BASE_URL
  value: {{ $values.mtconnect.baseUrl | quote }}
{{- end }}
{{- end }}
{{- if and (not $values.redis.enabled) (ne .program "migrate") }}
- name: MTC_REDIS_URL
  value: ""
{{- end }}
{{- end }}

{{/* Where the program listens, and what is a value of the chart's own rather than an option. */}}
{{- define "mtc-sync.ownEnv" -}}
{{- $values := .root.Values }}
{{- with (index (include "mtc-sync.programs" .root | fromYaml) .program).port }}
- name: {{ printf "MTC_%s_LISTEN" (upper $.program) }}
  value: {{ printf "%s:%v" $values.listen . | quote }}
{{- end }}
{{- if eq .program "receiver" }}
- name: MTC_RECEIVER_HOOK_LISTEN
  value: {{ printf "%s:8080" $values.listen | quote }}
- name: USE_WEBHOOK
  value: "true"
- name: MTC_RECEIVER_PUBLIC_URL
  value: {{ include "mtc-sync.publicUrl" .root | quote }}
{{- else if eq .program "scheduler" }}
- name: CYCLE_SYNC_PERIOD
  value: {{ int $values.cycleSyncPeriod | quote }}
{{- else if eq .program "mtcctl" }}
- name: MTC_CTL_MANAGEMENT_URL
  value: {{ $values.rabbitmq.managementUrl | quote }}
{{- end }}
{{- end }}

{{/*
The options in values.yaml that this program reads. Retry-After is obeyed by all who call MTConnect,
though the option is called after the first of them.
*/}}
{{- define "mtc-sync.optionEnv" -}}
{{- $options := .root.Values.options }}
{{- $program := index (include "mtc-sync.programs" .root | fromYaml) .program }}
{{- range $section := $program.sections }}
{{- range $name, $value := index $options $section }}
- name: {{ printf "MTC_%s_%s" (upper $section) (upper $name) }}
  value: {{ include "mtc-sync.optionText" $value | quote }}
{{- end }}
{{- end }}
{{- if and (has "mtconnect" $program.uses) (ne .program "sender") }}
{{- with $options.sender.retry_after_max_s }}
- name: MTC_SENDER_RETRY_AFTER_MAX_S
  value: {{ include "mtc-sync.optionText" . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "mtc-sync.env" -}}
{{- include "mtc-sync.serverEnv" . }}
{{- range include "mtc-sync.secrets" . | fromJsonArray }}
- name: {{ .option }}
  value: /run/secrets/mtc-sync/{{ .file }}
{{- end }}
{{- include "mtc-sync.ownEnv" . }}
{{- include "mtc-sync.optionEnv" . }}
{{- end }}

{{/* What MTConnect is told to call: said outright, or as the Ingress has it; else empty. */}}
{{- define "mtc-sync.publicUrl" -}}
{{- $ingress := .Values.receiver.ingress }}
{{- if .Values.receiver.publicUrl }}
{{- .Values.receiver.publicUrl }}
{{- else if $ingress.enabled }}
{{- $scheme := empty $ingress.tlsSecret | ternary "http" "https" }}
{{- printf "%s://%s/api/hooks/cycle-time" $scheme $ingress.host }}
{{- end }}
{{- end }}
