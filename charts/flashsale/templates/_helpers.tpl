{{/* The operator's name, and that of its rights: the release's name, shortened to leave room for what follows. */}}
{{- define "flashsale.operator" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}-operator
{{- end }}

{{/* What the roles for people and the policies start with. */}}
{{- define "flashsale.prefix" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* The PriorityClass of the operator's pods, if they have one: the named one, else their own. */}}
{{- define "flashsale.priority" -}}
{{- if .Values.priorityClassName }}
{{- .Values.priorityClassName }}
{{- else if .Values.priorityClass.create }}
{{- include "flashsale.operator" . }}
{{- end }}
{{- end }}

{{- define "flashsale.selector" -}}
app.kubernetes.io/name: flashsale-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "flashsale.labels" -}}
{{ include "flashsale.selector" . }}
app.kubernetes.io/part-of: flashsale
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* A subject: the operator's own account. */}}
{{- define "flashsale.account" -}}
kind: ServiceAccount
name: {{ include "flashsale.operator" . }}
namespace: {{ .Release.Namespace }}
{{- end }}
