# timbridge: `make help` lists the targets. Needs Go 1.26, make and git; everything else is fetched into .lab.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build test test-all check security lab demo bench microbench chaos fuzz clean

LDFLAGS = -X main.Tag=$(shell git describe --exact-match --tags 2>/dev/null) \
	-X main.Commit=$(shell git rev-parse HEAD 2>/dev/null) \
	-X main.BuildTime=$(shell date -u +%Y-%m-%dT%H:%M:%SZ)
# Which lines `make bench` measures, and how often each.
ONLY ?= .
RUNS ?= 5
# What `make microbench` runs and for how long each; what `make fuzz` spends on each target.
BENCH ?= .
BENCHTIME ?= 2s
FUZZTIME ?= 15s
# How many seeds `make chaos` runs, from which one on (0: any), how often timbridge is killed in each, and in which kind of world (all;
# synapse and dendrite mean the real ones). KILL_HOMESERVER=1 kills real homeservers too, and starts Dendrite again.
SEEDS ?= 8
SEED ?= 0
KILLS ?= 10
KIND ?=

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

build: ## bin/timbridge, without C code
	@echo "Building bin/timbridge (one to two minutes the first time) ..."
	CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "$(LDFLAGS)" -o bin/timbridge ./cmd/timbridge

demo: build ## show it at work on a real Dendrite, step by step (KEEP=1 leaves it running)
	@.ci/get-dendrite.sh
	@CGO_ENABLED=0 go run -trimpath ./internal/demo

test: ## all tests, with real homeservers (up to 15 minutes the first time)
	@.ci/test.sh

test-all: test ## also a million messages in and out again, Dendrite on PostgreSQL, and fuzzing
	TIMBRIDGE_DENDRITE_DATABASE=postgres .ci/test.sh -run Dendrite ./internal/e2e
	@echo "Importing and exporting a million messages (some minutes) ..."
	go test -run '^$$' -bench 'ImportExport/1000000' -benchtime 1x -timeout 30m ./mapping/mappingdb
	@echo "Flooding every port with garbage for a minute ..."
	TIMBRIDGE_FLOOD=1m go test -count=1 -run TestFlood -v ./bridge
	@.ci/fuzz.sh $(FUZZTIME)

check: ## vet, staticcheck, gofmt, go.mod, imports
	@.ci/check.sh

security: ## gosec and govulncheck (some minutes the first time; needs vuln.go.dev for the second)
	@.ci/security.sh

lab: ## only fetch the homeservers and clients of the tests into .lab
	@.ci/get-lab.sh

bench: ## measure timbridge beside bridgev2, on this machine's disk (up to 10 minutes; ONLY=webhook RUNS=5)
	go run -trimpath ./internal/bench -only '$(ONLY)' -runs $(RUNS)

microbench: ## benchmarks of single packages (BENCH=pattern, BENCHTIME=2s)
	go test -run '^$$' -bench '$(BENCH)' -benchtime '$(BENCHTIME)' -benchmem ./...

chaos: ## break everything, many times, and compare (SEEDS=20 KILLS=10; SEED=n repeats one; KIND=synapse)
	go test -count=1 -timeout 12h ./internal/chaos -run TestChaos -v -chaos.seeds $(SEEDS) -chaos.seed $(SEED) -chaos.kills $(KILLS) -chaos.kind '$(KIND)' $(if $(KILL_HOMESERVER),-chaos.kill-homeserver)

fuzz: ## every fuzz target for FUZZTIME=15s
	@.ci/fuzz.sh $(FUZZTIME)

clean: ## remove what was built and fetched
	rm -rf bin .lab
