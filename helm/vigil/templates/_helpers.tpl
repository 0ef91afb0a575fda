{{- /* Labels of one program: call with (dict "root" . "program" "relay"). */ -}}
{{- define "vigil.selector" -}}
app.kubernetes.io/name: vigil
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .program }}
{{- end }}

{{- define "vigil.labels" -}}
{{ include "vigil.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- /* An image by its digest: call with (dict "image" .Values.image "key" "image"). */ -}}
{{- define "vigil.imageOf" -}}
{{- if not .image.repository }}{{ fail (printf "%s.repository: name the repository of the image" .key) }}{{ end -}}
{{- if not (regexMatch "^sha256:[0-9a-f]{64}$" .image.digest) }}{{ fail (printf "%s.digest: name the digest of the image, sha256:…; a tag can move" .key) }}{{ end -}}
{{ .image.repository }}@{{ .image.digest }}
{{- end }}

{{- define "vigil.image" -}}
{{ include "vigil.imageOf" (dict "image" .Values.image "key" "image") }}
{{- end }}

{{- /* PEM of the database's authorities; empty: the system's. */ -}}
{{- define "vigil.databaseCa" -}}
{{ .Values.database.ca | default (.Files.Get "files/database-ca.pem") }}
{{- end }}

{{- define "vigil.secretName" -}}
{{ .Values.secrets.existingSecret | default (printf "%s-secrets" .Release.Name) }}
{{- end }}

{{- define "vigil.tlsSecretName" -}}
{{ .Values.tls.existingSecret | default (printf "%s-tls" .Release.Name) }}
{{- end }}

{{- /*
What each program is. command: how it starts. secrets: setting: key of the secret, as a file.
stateful: a stable name for the consumer group. kafka: its user.
*/ -}}
{{- define "vigil.programs" -}}
relay:
  command: [vigil, relay, run]
  kafka: relay
  secrets: {VIGIL_INDEX_DATABASE_URL_FILE: index-database-url}
  priority: footage
  grace: 45
assembler:
  command: [faust, -A, agents.assemble, worker]
  stateful: true
  kafka: worker
  secrets: {VIGIL_INDEX_DATABASE_URL_FILE: index-database-url}
  priority: footage
  grace: 60
healer:
  command: [faust, -A, agents.heal, worker]
  stateful: true
  kafka: worker
  secrets: {VIGIL_INDEX_DATABASE_URL_FILE: index-database-url}
  priority: footage
  grace: 60
joiner:
  command: [faust, -A, agents.join, worker]
  stateful: true
  kafka: worker
  secrets: {VIGIL_INDEX_DATABASE_URL_FILE: index-database-url}
  priority: footage
  grace: 90
indexer:
  command: [faust, -A, agents.index, worker]
  stateful: true
  kafka: worker
  secrets: {VIGIL_INDEX_DATABASE_URL_FILE: index-database-url}
  priority: footage
  grace: 60
web:
  command: [faust, -A, web.app, worker]
  kafka: worker
  secrets:
    VIGIL_WEB_DATABASE_URL_FILE: web-database-url
    VIGIL_SESSION_SECRET_FILE: session-secret
    VIGIL_LINK_SECRET_FILE: link-secret
  port: 8443
  probePort: https
  priority: people
  grace: 60
link:
  command: [faust, -A, web.device.app, worker]
  # A name of its own for each: workers that relay live pictures find each other by it.
  stateful: true
  kafka: link
  secrets:
    VIGIL_LINK_DATABASE_URL_FILE: link-database-url
    VIGIL_SESSION_SECRET_FILE: session-secret
    VIGIL_LINK_SECRET_FILE: link-secret
    VIGIL_DEVICE_CA_CERTIFICATE_FILE: device-ca-certificate
    {{- if not .Values.settings.VIGIL_DEVICE_CA_KMS_KEY }}
    VIGIL_DEVICE_CA_KEY_FILE: device-ca-key
    {{- end }}
  port: 8444
  internalPort: 8445
  probePort: https
  priority: people
  grace: 90
reconciler:
  command: [vigil, reconcile, --every]
  single: true
  kafka: worker
  secrets: {VIGIL_INDEX_DATABASE_URL_FILE: index-database-url}
  priority: people
  grace: 30
retention:
  command: [vigil, retention, enforce, --every]
  single: true
  kafka: worker
  secrets:
    VIGIL_INDEX_DATABASE_URL_FILE: index-database-url
    VIGIL_ADMIN_DATABASE_URL_FILE: admin-database-url
  priority: people
  grace: 30
audit:
  command: [vigil, audit, sign, --every]
  single: true
  kafka: worker
  secrets: {VIGIL_ADMIN_DATABASE_URL_FILE: admin-database-url, VIGIL_AUDIT_KEY_FILE: audit-key}
  priority: people
  grace: 30
{{- end }}

{{- /* Environment of one program: call with (dict "root" . "program" "relay" "spec" $spec). */ -}}
{{- define "vigil.environment" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: VIGIL_WORKER_INSTANCE
  value: $(POD_NAME)
- name: VIGIL_DATA_DIR
  value: /var/lib/vigil
- name: HOME
  value: /tmp
{{- if include "vigil.databaseCa" .root }}
- name: VIGIL_DATABASE_CA_FILE
  value: /run/database-ca/ca.pem
{{- end }}
- name: VIGIL_METRICS_HOST
  value: 0.0.0.0
- name: VIGIL_METRICS_PORT
  value: "9100"
- name: VIGIL_METRICS_TLS_CERTIFICATE_FILE
  value: /run/secrets/tls/tls.crt
- name: VIGIL_METRICS_TLS_KEY_FILE
  value: /run/secrets/tls/tls.key
{{- if ne (get .root.Values.settings "VIGIL_KAFKA_SECURITY") "PLAINTEXT" }}
- name: VIGIL_KAFKA_USERNAME
  value: {{ .spec.kafka }}
- name: VIGIL_KAFKA_PASSWORD_FILE
  value: /run/secrets/vigil/kafka-password-{{ .spec.kafka }}
{{- end }}
{{- range $setting, $key := .spec.secrets }}
- name: {{ $setting }}
  value: /run/secrets/vigil/{{ $key }}
{{- end }}
{{- if and (eq .program "audit") .root.Values.programs.audit.bucket }}
# Heads of the audit log have a bucket of their own, with Object Lock.
- name: VIGIL_S3_BUCKET
  value: {{ .root.Values.programs.audit.bucket }}
{{- end }}
{{- if eq .program "web" }}
- name: VIGIL_WEB_HOST
  value: 0.0.0.0
- name: VIGIL_WEB_PORT
  value: {{ .spec.port | quote }}
- name: VIGIL_WEB_TLS_CERTIFICATE_FILE
  value: /run/secrets/tls/tls.crt
- name: VIGIL_WEB_TLS_KEY_FILE
  value: /run/secrets/tls/tls.key
- name: VIGIL_LINK_CA_FILE
  value: /run/secrets/tls/ca.crt
{{- if and (hasPrefix "https:" (get .root.Values.settings "VIGIL_PROMETHEUS_URL")) (not (hasKey .root.Values.settings "VIGIL_PROMETHEUS_CA_FILE")) }}
- name: VIGIL_PROMETHEUS_CA_FILE
  value: /run/secrets/tls/ca.crt
{{- end }}
- name: VIGIL_PUBLIC_URL
  value: https://{{ .root.Values.ingress.host }}
{{- end }}
{{- if eq .program "link" }}
- name: VIGIL_DEVICE_HOST
  value: 0.0.0.0
- name: VIGIL_DEVICE_PORT
  value: {{ .spec.port | quote }}
- name: VIGIL_DEVICE_TLS_CERTIFICATE_FILE
  value: /run/secrets/tls/tls.crt
- name: VIGIL_DEVICE_TLS_KEY_FILE
  value: /run/secrets/tls/tls.key
- name: VIGIL_LINK_HOST
  value: 0.0.0.0
- name: VIGIL_LINK_PORT
  value: {{ .spec.internalPort | quote }}
- name: VIGIL_LINK_ADDRESS
  value: $(POD_NAME).{{ .root.Release.Name }}-link.{{ .root.Release.Namespace }}.svc
- name: VIGIL_LINK_TLS_CERTIFICATE_FILE
  value: /run/secrets/tls/tls.crt
- name: VIGIL_LINK_TLS_KEY_FILE
  value: /run/secrets/tls/tls.key
- name: VIGIL_LINK_CA_FILE
  value: /run/secrets/tls/ca.crt
{{- end }}
{{- end }}

{{- /*
The pod of one program. For a job, the context has values (resources) and image too.
*/ -}}
{{- define "vigil.pod" -}}
{{- $values := .values | default (get .root.Values.programs .program) -}}
metadata:
  labels:
    {{- include "vigil.labels" . | nindent 4 }}
    {{- with .root.Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    # A changed setting restarts the pods.
    checksum/settings: {{ list .root.Values.settings (include "vigil.databaseCa" .root) | toJson | sha256sum }}
spec:
  serviceAccountName: vigil-{{ .spec.account | default .program }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  priorityClassName: vigil-{{ .spec.priority }}
  {{- if eq .program "replay" }}
  restartPolicy: Never
  {{- end }}
  terminationGracePeriodSeconds: {{ .spec.grace }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- if .spec.gpu }}
  # Only these pods run on nodes with a GPU, and only there.
  nodeSelector: {vigil.io/pool: gpu}
  tolerations:
    - {key: nvidia.com/gpu, operator: Equal, value: "true", effect: NoSchedule}
  {{- else if .root.Values.nodeSelector }}
  nodeSelector: {{ toYaml .root.Values.nodeSelector | nindent 4 }}
  {{- end }}
  {{- if not .spec.job }}
  topologySpreadConstraints:
    {{- range tuple "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{ include "vigil.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .program }}
      image: {{ .image | default (include "vigil.image" .root) }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: {{ (.spec.single | default false | ternary (append .spec.command $values.every) .spec.command) | toJson }}
      envFrom:
        - configMapRef: {name: {{ .root.Release.Name }}-settings}
      env: {{ include "vigil.environment" . | nindent 8 }}
      {{- if not .spec.job }}
      ports:
        - {name: metrics, containerPort: 9100}
        {{- if .spec.port }}
        - {name: https, containerPort: {{ .spec.port }}}
        {{- end }}
        {{- if .spec.internalPort }}
        - {name: internal, containerPort: {{ .spec.internalPort }}}
        {{- end }}
      {{- $probe := .spec.probePort | default "metrics" }}
      # /healthz answers while tables recover, however long that takes: only /readyz waits for them.
      startupProbe:
        httpGet: {path: /healthz, port: {{ $probe }}, scheme: HTTPS}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 36
      livenessProbe:
        httpGet: {path: /healthz, port: {{ $probe }}, scheme: HTTPS}
        periodSeconds: 15
        timeoutSeconds: 10
        failureThreshold: 6
      {{- if not .spec.single }}
      readinessProbe:
        httpGet: {path: /readyz, port: {{ $probe }}, scheme: HTTPS}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 3
      {{- end }}
      {{- if .spec.port }}
      # Load balancers need some seconds to send new connections elsewhere.
      lifecycle: {preStop: {sleep: {seconds: 10}}}
      {{- end }}
      {{- end }}
      resources: {{ toYaml $values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: secrets, mountPath: /run/secrets/vigil, readOnly: true}
        - {name: tls, mountPath: /run/secrets/tls, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        - {name: data, mountPath: /var/lib/vigil}
        {{- if include "vigil.databaseCa" .root }}
        - {name: database-ca, mountPath: /run/database-ca, readOnly: true}
        {{- end }}
  volumes:
    {{- if include "vigil.databaseCa" .root }}
    - name: database-ca
      configMap: {name: {{ .root.Release.Name }}-database-ca}
    {{- end }}
    - name: secrets
      secret:
        secretName: {{ include "vigil.secretName" .root }}
        defaultMode: 0440
        items:
          {{- $keys := values .spec.secrets }}
          {{- if ne (get .root.Values.settings "VIGIL_KAFKA_SECURITY") "PLAINTEXT" }}
          {{- $keys = append $keys (printf "kafka-password-%s" .spec.kafka) }}
          {{- end }}
          {{- range $keys | uniq | sortAlpha }}
          - {key: {{ . }}, path: {{ . }}}
          {{- end }}
    - name: tls
      secret:
        secretName: {{ include "vigil.tlsSecretName" .root }}
        defaultMode: 0440
    - name: tmp
      emptyDir: {sizeLimit: 256Mi}
    {{- if not $values.storage }}
    - name: data
      emptyDir: {sizeLimit: 1Gi}
    {{- end }}
{{- end }}
