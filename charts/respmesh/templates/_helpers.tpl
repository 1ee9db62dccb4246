{{/* Name of everything that the chart makes: RELEASE-operator, without saying respmesh twice. */}}
{{- define "respmesh.name" -}}
{{- $base := ternary .Release.Name (printf "%s-respmesh" .Release.Name) (contains "respmesh" .Release.Name) -}}
{{- printf "%s-operator" ($base | trunc 50 | trimSuffix "-") -}}
{{- end -}}

{{- define "respmesh.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "respmesh.name" .) -}}
{{- end -}}

{{- define "respmesh.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "respmesh.selectorLabels" -}}
app.kubernetes.io/name: respmesh
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "respmesh.labels" -}}
{{ include "respmesh.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Where RedisProxies and the pods beside them are: read, status written, Events and bootstrap ConfigMaps made. */}}
{{- define "respmesh.workRules" -}}
- apiGroups: [respmesh.io]
  resources: [redisproxies]
  verbs: [get, list, watch]
- apiGroups: [respmesh.io]
  resources: [redisproxyoperations]
  verbs: [list, watch]
- apiGroups: [respmesh.io]
  resources: [redisproxies/status, redisproxyoperations/status]
  verbs: [update]
# Which sidecars exist, and whether the container of a primary has ended.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Where the servers behind headless Services are.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
# The Secrets that a RedisProxy names; which those are is not known beforehand.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
# The ConfigMap per RedisProxy that its sidecars start from, by server-side apply.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
