{{/* The operator's command line. */}}
{{- define "flashsale.arguments" -}}
- --operator-namespace=$(POD_NAMESPACE)
- --metrics-address=0.0.0.0:9090
- --dataplane-image={{ required "image.dataplane is empty: set it to the data plane's image, with a tag or digest (docs/install.md, Images)" .Values.image.dataplane }}
- --redis-image={{ required "image.redis is empty: set it to an image of Redis 7.0 or newer" .Values.image.redis }}
- --cluster-domain={{ .Values.clusterDomain }}
{{- range .Values.trustedProxies }}
- --trusted-proxy={{ . }}
{{- end }}
{{- if .Values.trustedCertificates }}
- --trusted-certificates=/etc/flashsale/trusted/ca.crt
{{- end }}
{{- if eq .Values.mode "Namespaced" }}
{{- range .Values.namespaces }}
- --namespace={{ . }}
{{- end }}
{{- end }}
{{- end }}
