// Pins what the chart's objects are checked against, beside Kubernetes itself: the resources of the Prometheus operator.
module modules

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.88.1
