# make help lists what there is. Everything runs from a clean clone with Go; test and integration install the mail
# servers they need first, which takes root on Debian.

SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := build

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/postcask
VERSION := $(shell git -c safe.directory='*' describe --tags --always --dirty 2>/dev/null || echo development)
STATICCHECK_VERSION := v0.8.2
STATICCHECK := $(CACHE)/staticcheck-$(STATICCHECK_VERSION)/staticcheck
SERVERS := dovecot,cyrus,courier
FUZZTIME := 30s
KILLS := 200
CUTS := 20
DISTURBED := 20000
MESSAGES := 1000000
SOAK := mbox maildir pop3 migrate held archived
SEED :=
BENCH := medium
BENCHDIR :=
BENCHTIME := 200ms
COUNT := 1
BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da
BENCHSTAT := $(CACHE)/benchstat-$(BENCHSTAT_VERSION)/benchstat

# The version is stamped below, from git describe; go's own stamp fails where the checkout belongs to somebody else.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

.PHONY: build
build: ## build bin/postcask, static and without paths of this machine
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/postcask ./cmd/postcask

.PHONY: test
test: servers ## all tests, with the race detector, also against Dovecot, Cyrus and Courier
	POSTCASK_SERVERS=$(SERVERS) go test -race -tags integration -timeout 30m ./...

.PHONY: unit
unit: ## the tests that need no servers, with the race detector
	go test -race -timeout 10m ./...

.PHONY: integration
integration: servers ## all tests against real servers, without the race detector; SERVERS=dovecot picks
	POSTCASK_SERVERS=$(SERVERS) go test -tags integration -timeout 30m ./...

.PHONY: torture
torture: servers ## kill and cut each job, KILLS times on each of SERVERS and with DISTURBED messages in one go; SEED repeats
	POSTCASK_SERVERS=$(SERVERS) POSTCASK_KILLS=$(KILLS) POSTCASK_CUTS=$(CUTS) POSTCASK_DISTURBED=$(DISTURBED) POSTCASK_SEED=$(SEED) \
		go test -tags integration -count=1 -timeout 240m -v -run '^(TestTorture|TestAnswersToAppendAreLost.*|TestDisturbedAllTheWhile)$$' ./cmd/postcask

.PHONY: soak
soak: ## move a million small messages, beside 20,000; SOAK="mbox maildir pop3 migrate held archived" or one of them, MESSAGES=…, TMPDIR=… says where
	POSTCASK_SOAK=$(MESSAGES) POSTCASK_SOAK_WAYS="$(SOAK)" \
		go test -tags 'integration soak' -count=1 -timeout 180m -v -run '^TestLongRun$$' ./cmd/postcask

.PHONY: servers
servers: ## install the mail servers, unless they are there
	@.ci/install-servers

.PHONY: check
check: $(STATICCHECK) ## format, vet, staticcheck, with and without the integration tests
	@files=$$(gofmt -l cmd migrate archive); if [ -n "$$files" ]; then echo "not formatted (gofmt -w):"; echo "$$files"; exit 1; fi
	go vet ./...
	go vet -tags 'integration soak' ./...
	$(STATICCHECK) -tags 'integration soak' ./...

$(STATICCHECK):
	GOBIN=$(@D) go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)

.PHONY: tree
tree: ## fail if the work tree holds files that git neither has nor ignores
	@files=$$(git -c safe.directory='*' ls-files --others --exclude-standard) || exit 1; \
	if [ -n "$$files" ]; then echo "left behind:"; echo "$$files"; exit 1; fi

.PHONY: cross
cross: ## compile for the other systems that postcask runs on
	@for target in linux/arm64 darwin/arm64 windows/amd64 freebsd/amd64; do \
		echo $$target; CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} go build -o /dev/null ./cmd/postcask || exit 1; \
	done

.PHONY: demo
demo: build ## show a backup and a restore between servers in memory
	go run ./migrate/testserver/demo bin/postcask

.PHONY: bench
bench: build servers ## measure postcask beside the limits and its peers, into docs/benchmarks.md; BENCH=full for all; BENCHDIR
	go build -o bin/bench ./migrate/testserver/bench
	bin/bench -scale $(BENCH) $(if $(BENCHDIR),-dir $(BENCHDIR)) -o docs/benchmarks.md

.PHONY: gobench
gobench: ## the benchmarks of the code; the output is kept for compare. COUNT=6 for a fair comparison
	@mkdir -p $(CACHE)/bench
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -count $(COUNT) -timeout 60m \
		$$(git -c safe.directory='*' grep -l '^func Benchmark' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's|^|./|') | tee $(CACHE)/bench/$(VERSION).txt
	@echo "kept as $(CACHE)/bench/$(VERSION).txt"

.PHONY: compare
compare: $(BENCHSTAT) ## compare the benchmarks of a commit with those of this one; OLD=… is run first unless it was before
	@test -n "$(OLD)" || { echo "OLD=commit"; exit 1; }
	@test -e $(CACHE)/bench/$(OLD).txt || { \
		dir=$$(mktemp -d) && trap 'git -c safe.directory="*" worktree remove --force '$$dir EXIT && \
		git -c safe.directory='*' worktree add --quiet --detach $$dir $(OLD) && \
		$(MAKE) --no-print-directory -C $$dir -f $(CURDIR)/Makefile gobench VERSION=$(OLD); }
	@test -e $(CACHE)/bench/$(VERSION).txt || $(MAKE) --no-print-directory gobench
	$(BENCHSTAT) $(CACHE)/bench/$(OLD).txt $(CACHE)/bench/$(VERSION).txt

$(BENCHSTAT):
	GOBIN=$(@D) go install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)

.PHONY: fuzz
fuzz: ## run each fuzz test for FUZZTIME
	@for package in $$(go list ./...); do \
		for name in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$name"; go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

.PHONY: clean
clean: ## remove what build made
	rm -rf bin

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14
