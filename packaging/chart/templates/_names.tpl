{{- define "haulier.labels" -}}
app.kubernetes.io/name: haulier
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}
{{- define "haulier.image" -}}
{{ .root.Values.image.registry }}/haulier-{{ .component }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- define "haulier.public" -}}
{{ .Values.controlplane.advertisedHost | default (printf "%s-controlplane.%s.svc" .Release.Name .Release.Namespace) }}
{{- end }}
{{- define "haulier.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
{{- define "haulier.pod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}
