// Only pins the module that the Gateway API's definitions are taken from: `go mod tidy` would drop it.
module definitions

go 1.26

require sigs.k8s.io/gateway-api v1.6.3
