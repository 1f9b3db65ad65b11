{{/* Labels of every object; podid.selector says of which component. */}}
{{- define "podid.labels" -}}
app.kubernetes.io/name: podid
app.kubernetes.io/part-of: podid
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The labels that select a component's pods. They can never change. */}}
{{- define "podid.selector" -}}
app.kubernetes.io/name: podid
app.kubernetes.io/component: {{ . }}
{{- end -}}

{{/* The image of "server" or "agent": list CONTEXT NAME. */}}
{{- define "podid.image" -}}
{{- $context := index . 0 -}}
{{- $images := $context.Values.images -}}
{{- $image := index $images (index . 1) -}}
{{- if $images.registry }}{{ $images.registry }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $images.tag | default $context.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* How the API server reaches a webhook: list CONTEXT PATH. In mode own the
server itself fills in the authority, in mode certManager the cainjector: here is
none to go back to, or to quarrel about. */}}
{{- define "podid.clientConfig" -}}
{{- $context := index . 0 -}}
service:
  namespace: {{ $context.Release.Namespace }}
  name: podid
  port: 9443
  path: {{ index . 1 }}
{{- if eq $context.Values.tls.mode "secret" }}
caBundle: {{ b64enc $context.Values.tls.caBundle }}
{{- end }}
{{- end -}}

{{/* Annotations of the webhook configurations. */}}
{{- define "podid.webhookAnnotations" -}}
{{- if eq .Values.tls.mode "certManager" -}}
cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/podid
{{- end -}}
{{- end -}}

{{/* What no container of podid needs. */}}
{{- define "podid.unprivileged" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The addresses to keep on the nodes, as further arguments in a flow sequence. */}}
{{- define "podid.bindHosts" -}}
{{- range .Values.agent.bindHosts }}, --bind-hosts={{ . }}{{ end -}}
{{- end -}}

{{/* The ARN of the server's own IAM identity; empty: it is not told. */}}
{{- define "podid.identity" -}}
{{- if eq .Values.aws.access "webIdentity" }}{{ .Values.aws.webIdentity.roleARN }}{{ else }}{{ .Values.aws.identityARN }}{{ end -}}
{{- end -}}

{{/* The names that the server's certificate is for, as JSON. */}}
{{- define "podid.names" -}}
{{- $names := list -}}
{{- $services := list "podid" "podid-replicas" -}}
{{- if .Values.console.enabled }}{{ $services = append $services "podid-console" }}{{ end -}}
{{- range $service := $services -}}
{{- range $suffix := list "svc" "svc.cluster.local" -}}
{{- $names = append $names (printf "%s.%s.%s" $service $.Release.Namespace $suffix) -}}
{{- end -}}
{{- end -}}
{{- $names | toJson -}}
{{- end -}}

{{/* The environment that turns traces on. */}}
{{- define "podid.tracing" -}}
{{- with .Values.tracing.endpoint -}}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ $.Values.tracing.ratio | quote }}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.cluster.name={{ $.Values.cluster.name }},k8s.node.name=$(NODE_NAME),k8s.pod.name=$(POD_NAME)
{{- end -}}
{{- end -}}
