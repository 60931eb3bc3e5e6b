# What people run. `make demo` and `make test` install what they need, and work from nothing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(HOME)/.cache/flashsale/target
export CARGO_TERM_PROGRESS_WHEN ?= auto

RELEASE := $(CARGO_TARGET_DIR)/release/flashsale
TESTED := $(CARGO_TARGET_DIR)/sim/flashsale

.PHONY: help demo demo-real check test e2e cluster-up cluster-down bench simulate deny

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

demo: ## Build, serve a whole sale to 20,000 simulated buyers, print the settlement
	@.ci/need cc:gcc protoc:protobuf-compiler
	cargo build --release --locked -p flashsale
	$(RELEASE) up examples/sneaker-drop.yaml --opens-in 3s --buyers 20000 --payment-timeout 5s --once \
	  --listen 127.0.0.1:0 --admin 127.0.0.1:0

demo-real: ## The same sale on real Redis, Pulsar and PostgreSQL, which it installs and starts
	@.ci/need cc:gcc protoc:protobuf-compiler redis-server:redis-server java:openjdk-17-jre-headless mvn:maven pg_lsclusters:postgresql
	@e2e/servers/install-pulsar.sh
	cargo build --release --locked -p flashsale -p flashsale-servers
	$(CARGO_TARGET_DIR)/release/flashsale-servers --redis 8 --databases 2 -- \
	  $(RELEASE) up examples/sneaker-drop.yaml --opens-in 5s --shards 8 --buyers 20000 --payment-timeout 5s --once \
	  --listen 127.0.0.1:0 --admin 127.0.0.1:0

check: ## Format, lints, unit tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --profile sim -- -D warnings
	cargo test --workspace --lib --bins --locked --profile sim

test: ## Everything: lints, all tests, the chart, the API against its description, a buyer in a browser
	@.ci/need cc:gcc protoc:protobuf-compiler redis-server:redis-server java:openjdk-17-jre-headless mvn:maven pg_lsclusters:postgresql chromium:chromium sqlite3:sqlite3 node:nodejs npm:npm python3:python3-venv go:golang
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --profile sim -- -D warnings
	cargo test --workspace --locked --profile sim --no-fail-fast
	charts/test
	dataplane/openapi/run.sh $(TESTED)
	dataplane/pages/dev/run-walk.sh $(TESTED)

e2e: ## Sales on a real Kubernetes, which it builds, starts and installs the operator on
	@.ci/need cc:gcc protoc:protobuf-compiler java:openjdk-17-jre-headless mvn:maven pg_lsclusters:postgresql
	@e2e/kube/run

cluster-up: ## A real Kubernetes of two nodes, with an entry, Pulsar and PostgreSQL
	@e2e/cluster/up
	@e2e/cluster/servers-up

cluster-down: ## End it, and remove what it left
	@e2e/cluster/down

bench: ## Measure, side by side with what others know
	@.ci/need cc:gcc protoc:protobuf-compiler nginx:nginx-light wrk:wrk redis-server:redis-server java:openjdk-17-jre-headless mvn:maven pg_lsclusters:postgresql
	@e2e/servers/install-pulsar.sh
	cargo build --release --locked -p flashsale -p flashsale-bench
	$(CARGO_TARGET_DIR)/release/flashsale-bench all

simulate: ## Replay a million seeded sales with crashes, delays and lost answers
	cargo run --locked --profile sim -p flashsale-sim -- --seeds 0..1000000

deny: ## Licences, sources and duplicate crates
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --offline check bans licenses sources
