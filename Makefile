SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# DuckDB hands rows over as Arrow only with this tag.
TAGS := duckdb_arrow
GO := go
# The toolchain that go.mod names is fetched where the installed one is older.
export GOTOOLCHAIN := auto
# One set of flags for everything, so that what one target compiled serves the others; binaries name no path of this machine.
export GOFLAGS := -trimpath $(GOFLAGS)

# Packages whose code runs in several goroutines; make test runs their tests with the race detector. Those that take
# longest come first: what begins last keeps one core busy only.
CONCURRENT := $(wildcard server materializer/online internal/eventlog internal/relation internal/onlinestore internal/registry internal/freshness internal/gate \
  internal/lease internal/redisconn internal/servedlog internal/storehost inprocess sdk)
# Packages whose tests load a real server for a minute, which make test-load runs by themselves.
LOADS := internal/dev/bounds internal/dev/soak
# Tests that make test leaves to make test-load: training on much data.
LARGE := ^(TestP8_PeakOfTheProcess|TestO7_KilledWhileSpilling)$$
# Packages whose code must not fuse floating-point operations.
UNFUSED := internal/kernel internal/celenv internal/entitykey internal/ingest featuredefs
# Packages whose binaries are built without cgo.
STATIC := $(wildcard cmd/unskew-server inprocess internal/serving materializer/online sdk server)

# Packages of Node are away from the sources, in which Go would look at them too.
UI := .cache/ui

below = $(foreach dir,$1,./$(dir)/...)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: need-go need-c++ ## build bin/unskew
	$(GO) build -tags $(TAGS) -o bin/unskew ./cmd/unskew

.PHONY: server
server: need-go ## build bin/unskew-server, which only serves: static, without DuckDB
	CGO_ENABLED=0 $(GO) build -ldflags '-s -w' -o bin/unskew-server ./cmd/unskew-server

# unskew links DuckDB's C++, so it is built for the platform at hand only.
VERSION = $(shell sed -n 's/^const Release = "\(.*\)"/\1/p' internal/version/version.go)
.PHONY: release
release: need-go need-c++ ## build dist: unskew for this platform, unskew-server for Linux and macOS on amd64 and arm64, checksums
	@rm -rf dist && mkdir dist
	@for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do \
	  name=dist/unskew-server_$(VERSION)_$${target/\//_}; echo "$$name"; \
	  CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -ldflags '-s -w' -o "$$name" ./cmd/unskew-server; \
	done
	@name=dist/unskew_$(VERSION)_$$($(GO) env GOOS)_$$($(GO) env GOARCH); echo "$$name"; \
	  $(GO) build -ldflags '-s -w' -tags $(TAGS) -o "$$name" ./cmd/unskew
	@cd dist && { sha256sum * 2>/dev/null || shasum -a 256 *; } > ../dist.sums && mv ../dist.sums SHA256SUMS && cat SHA256SUMS

.PHONY: demo
demo: build ## build, then show the whole path on the flights example
	bin/unskew demo

.PHONY: conformance
conformance: need-go ## run the CEL specification's own tests through cel-go and the kernels
	@$(GO) build -o bin/conformance ./internal/dev/conformance
	@bin/conformance

# What go test is to test: all packages but those of a list.
but = $$($(GO) list -tags $(TAGS) ./... | grep -v -E '/($(subst $() ,|,$(strip $1)))(/|$$)')

# Many tests wait for processes, disks or one another, so the parts run beside each other. Random tests, and those that
# try a fault or a kill at any place, are shorter here (-short): fewer draws, of which each run makes others.
.PHONY: test
test: need-go need-c++ need-redis-server need-python need-node need-chromium ## run all tests, random ones in a short form, those of concurrent packages with the race detector
	@$(MAKE) --no-print-directory -j test-race test-plain test-python

# The wheel comes before the tests that are compiled from the same packages, so that nothing is compiled twice. With the
# race detector, collecting garbage as often as usual would take a fifth of the time.
.PHONY: test-race test-plain
test-race: need-go need-c++ need-redis-server need-python
	GOGC=400 $(GO) test -race -short -tags $(TAGS) $(call below,$(CONCURRENT))
test-plain: need-go need-c++ need-redis-server need-python need-chromium $(UI)/installed | wheel
	$(GO) test -short -tags $(TAGS) -skip '$(LARGE)' $(call but,$(CONCURRENT) $(LOADS))

.PHONY: test-load
test-load: need-go need-c++ need-redis-server need-python need-chromium $(UI)/installed ## run in full what make test shortens, without the race detector; load a real server as make bench-bounds and make soak do
	$(GO) test -tags $(TAGS) $(call but,$(LOADS))
	$(GO) test -tags $(TAGS) -run '^TestP7_RebuildsHaveTheSameBytes$$' ./materializer/offline -rebuilds 100
	@$(MAKE) --no-print-directory test-v3
	$(GO) test -tags $(TAGS) $(call below,$(LOADS))

# Tests of Python code have an environment of their own, made again when its requirements change.
PYTHON := .cache/python/bin/python
$(PYTHON): sdk/python/requirements.txt | need-python
	python3 -m venv --clear .cache/python
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.PHONY: wheel
wheel: need-go need-c++ $(PYTHON) ## build the Python package with the stripped binary in it: bin/wheel/unskew-*.whl
	@mkdir -p bin/stripped
	$(GO) build -ldflags '-s -w' -tags $(TAGS) -o bin/stripped/unskew ./cmd/unskew
	@$(PYTHON) sdk/python/wheel.py bin/stripped/unskew bin/wheel

.PHONY: notebook
notebook: $(PYTHON) ## make the notebook of the flights example from its script
	$(PYTHON) sdk/python/notebook.py examples/flights/train.py

# The wheel is tested as a user has it: installed, away from its sources.
.PHONY: test-python
test-python: wheel ## install the wheel and test the Python package against a real server
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps bin/wheel/unskew-*.whl
	cd sdk/python && ../../$(PYTHON) -P -m pytest -q -p no:cacheprovider

# Feast and what it depends on are as much as all the rest together, so its tests have another environment.
FEAST := .cache/feast/bin/python
$(FEAST): sdk/python/requirements-feast.txt examples/feast/requirements.txt | need-python
	python3 -m venv --clear .cache/feast
	$(FEAST) -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.PHONY: test-feast
test-feast: wheel $(FEAST) ## test the import of Feast repositories with the real package (0.6 GB, installed once)
	$(FEAST) -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps bin/wheel/unskew-*.whl
	cd sdk/python && ../../$(FEAST) -P -m pytest -q -p no:cacheprovider tests/test_feast.py tests/test_feast_package.py

# Where the processor can, the compiler fuses x*y+z for GOAMD64=v3 as it does for arm64.
.PHONY: test-v3
test-v3: need-go ## run the kernel's tests compiled for GOAMD64=v3
	@if grep -qw avx2 /proc/cpuinfo 2>/dev/null && grep -qw fma /proc/cpuinfo; then GOAMD64=v3 $(GO) test -tags $(TAGS) ./internal/kernel/...; \
	else echo "test-v3: this processor does not run GOAMD64=v3, nothing tested"; fi

FUZZTIME := 30s
.PHONY: fuzz
fuzz: need-go ## compare random expressions with cel-go and random features with the oracle, and feed decoders noise, each for FUZZTIME=30s
	@tally=$$(mktemp); trap 'rm -f "$$tally" "$$tally.test"' EXIT; failed=; \
	fuzz() { $(GO) test "$$1" -run '^$$' -fuzz "^$$2\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "$${@:3}" || failed="$$failed $$2"; }; \
	$(GO) test ./internal/kernel/expr -v -timeout 0 -run '^TestSweep$$' -sweep.time $(FUZZTIME) -sweep.seed $$(date +%s) -tally "$$tally" || failed=" TestSweep"; \
	fuzz ./internal/kernel/expr FuzzDifferential -tally "$$tally"; \
	fuzz ./internal/kernel/agg FuzzDecode; \
	fuzz ./internal/kernel FuzzStateDecode; \
	fuzz ./internal/wire FuzzRead; \
	fuzz ./featuredefs/plan FuzzDecodeCanonical; \
	fuzz ./featuredefs/plan FuzzParseTime; \
	fuzz ./internal/text FuzzParse; \
	fuzz ./internal/records FuzzCSV; \
	fuzz ./internal/records FuzzJSON; \
	fuzz ./internal/records FuzzMembers; \
	forever() { $(GO) test -c -o "$$tally.test" "$$1" && (cd "$$1" && timeout $(FUZZTIME) "$$tally.test" -test.run "^$$2\$$" -rapid.checks 1000000000) || \
	  [ $$? -eq 124 ] || failed="$$failed $$2"; }; \
	for test in Replay Online Service; do forever ./internal/oracle Test$${test}AgreesWithTheOracle; done; \
	forever ./internal/oracle TestStateBytesDependOnTheEventsAlone; \
	forever ./internal/kernel/agg TestBlocksAreColumns; \
	awk '{rows += $$1; differing += $$2} END {printf "fuzz: %d row comparisons with cel-go, %d differences\n", rows, differing}' "$$tally"; \
	if [ -n "$$failed" ]; then echo "fuzz: failed:$$failed" >&2; exit 1; fi

.PHONY: mutants
mutants: need-go need-c++ need-redis-server ## break the program on purpose, one line at a time, and expect a test to fail each time
	@$(GO) build -o bin/mutants ./internal/dev/mutants
	@bin/mutants

.PHONY: soak
soak: build need-redis-server ## run a server for ten minutes under reads, pushes and rebuilds, and check that nothing grows and parity has no false alarm
	@$(GO) build -o bin/soak ./internal/dev/soak
	@bin/soak -unskew bin/unskew

.PHONY: bench-cel bench-agg bench-online bench-apply bench-offline bench-bounds bench-parity
bench-cel: need-go ## compare the speed of the expression kernels with that of cel-go
	$(GO) run ./internal/dev/bench/cel

bench-agg: need-go ## compare the speed of the kernel with that of programs written for one job in plain float64
	$(GO) run ./internal/dev/bench/agg

bench-online: need-go need-redis-server ## measure reads of a server against one round trip to Redis
	@$(GO) build -o bin/bench-online ./internal/dev/bench/online
	@bin/bench-online

bench-apply: need-go need-redis-server ## measure how fast pushed events reach states, compared with reading and writing as many bytes
	@$(GO) build -tags $(TAGS) -o bin/bench-apply ./internal/dev/bench/apply
	@bin/bench-apply

.PHONY: parity-faults
parity-faults: need-go need-c++ need-redis-server ## let more than 10,000 faults happen to what is served, and count those that parity finds, with the right cause
	@out=$$(mktemp); trap 'rm -f "$$out"' EXIT; \
	$(GO) test -tags $(TAGS) ./internal/recompute -run '^TestP21_' -count 1 -faults 6200 -faults-to "$$out" && cat "$$out"

# Flags, such as -seconds or -rounds, in BENCH.
bench-parity: need-go need-c++ ## measure what recording answers and computing them again costs a server
	@$(GO) build -o bin/bench-parity ./internal/dev/bench/parity
	@bin/bench-parity $(BENCH)

# Flags, such as -redis or -run, in BENCH.
bench-bounds: build need-redis-server ## load a server in the ways in which servers are brought down, and measure its memory
	@$(GO) build -o bin/bench-bounds ./internal/dev/bounds
	@bin/bench-bounds -unskew bin/unskew $(BENCH)

# Flags, such as -spill or a smaller -events, in BENCH.
bench-offline: build ## compare the speed of training sets with that of SQL in DuckDB, on the same files
	@$(GO) build -tags $(TAGS) -o bin/bench-offline ./internal/dev/bench/offline
	bin/bench-offline -unskew bin/unskew $(BENCH)

$(UI)/installed: $(addprefix internal/ui/web/,package.json package-lock.json .npmrc) | need-node
	@rm -rf $(UI) && mkdir -p $(UI) && cp $^ $(UI)
	cd $(UI) && npm ci --ignore-scripts --loglevel=error
	@touch $@

BUNDLE := NODE_PATH=$(CURDIR)/$(UI)/node_modules node internal/ui/web/build.cjs
.PHONY: ui
ui: $(UI)/installed ## build the script that pages have, internal/ui/web/bundle.js, from page.js and packages of npm
	$(BUNDLE) internal/ui/web

.PHONY: check
check: check-format check-vet check-static check-lint check-vuln check-python check-fma check-proto check-ui check-golden ## check format, vet, lint, known vulnerabilities, fused arithmetic, generated code and golden files

.PHONY: check-format
check-format: need-go
	@list=$$(git ls-files -co --exclude-standard '*.go' | xargs -r ls 2>/dev/null | xargs -r gofmt -l); \
	if [ -n "$$list" ]; then echo "gofmt would change these files; run: gofmt -w" $$list >&2; exit 1; fi

.PHONY: check-vet
check-vet: need-go need-c++
	$(GO) vet -tags $(TAGS) ./...

.PHONY: check-static
check-static: need-go server
	CGO_ENABLED=0 $(GO) build $(call below,$(STATIC))
	@size=$$(stat -c %s bin/unskew-server 2>/dev/null || stat -f %z bin/unskew-server); \
	if [ $$size -gt 40000000 ]; then echo "check-static: bin/unskew-server has $$size bytes, more than 40 MB. Find what is new: build it without -ldflags, then go tool nm -size -sort size bin/unskew-server lists functions and data; decision 140 says what was taken out before" >&2; exit 1; fi

.PHONY: check-lint
check-lint: bin/tools/built need-c++
	bin/tools/staticcheck -tags $(TAGS) ./...

# The database of vulnerabilities is part of golang.org/x/vulndb, so it is as new as the version in tools/go.mod:
# cd tools && go get -tool golang.org/x/vulndb/cmd/indexdb@latest
VULNDB := .cache/vulndb
$(VULNDB): bin/tools/built
	@rm -rf $@.new && mkdir -p $@.new
	bin/tools/indexdb -vulns "$$(cd tools && $(GO) list -m -f '{{.Dir}}' golang.org/x/vulndb)/data/osv" -out $@.new
	@rm -rf $@ && mv $@.new $@ && touch $@

.PHONY: check-vuln
check-vuln: $(VULNDB) need-c++
	bin/tools/govulncheck -db "file://$(CURDIR)/$(VULNDB)" -tags $(TAGS) ./...

.PHONY: check-python
check-python: $(PYTHON)
	cd sdk/python && ../../$(PYTHON) -m mypy --no-incremental

# A product that is not converted, as in float64(x*y) + z, may be fused with the sum.
.PHONY: check-fma
check-fma: need-go
	@asm=$$(mktemp); trap 'rm -f "$$asm"' EXIT; export CGO_ENABLED=0 GOAMD64=v3; \
	for GOARCH in arm64 amd64; do export GOARCH; \
	  $(GO) build $(call below,$(UNFUSED)); $(GO) build -gcflags=-S $(call below,$(UNFUSED)) 2>"$$asm"; \
	  grep -qE '\s(FMULD|V?MULSD)\s' "$$asm" || { echo "check-fma: no multiplication for $$GOARCH, so this check sees nothing" >&2; exit 1; }; \
	  if grep -E '\sV?FN?M(ADD|SUB)[0-9SD]*\s' "$$asm" >&2; then echo "check-fma: fused for $$GOARCH; write float64(x*y) where a product feeds a sum" >&2; exit 1; fi; \
	done

# The descriptors from which the Python package makes its message classes.
DESCRIPTORS := --path proto/unskew/v1 --as-file-descriptor-set --exclude-source-info

.PHONY: check-proto
check-proto: bin/tools/built
	bin/tools/buf lint
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; bin/tools/buf generate -o "$$out"; \
	diff <(cd "$$out/proto" && find . -name '*.go' | sort | xargs sha256sum) <(cd proto && find . -name '*.go' | sort | xargs sha256sum) || \
	{ echo "the Go files under proto/ are not what its .proto files generate; run: make generate" >&2; exit 1; }; \
	bin/tools/buf build $(DESCRIPTORS) -o "$$out/wire.binpb"; \
	cmp "$$out/wire.binpb" sdk/python/src/unskew/wire.binpb || { echo "the Python package's wire.binpb is not of the .proto files; run: make generate" >&2; exit 1; }

# Rewriting the golden files must change nothing.
.PHONY: check-golden
check-golden: need-go need-c++
	@state() { git diff | git hash-object --stdin; git status --porcelain; }; before=$$(state); $(MAKE) --no-print-directory golden; \
	if [ "$$before" != "$$(state)" ]; then git --no-pager diff --stat; echo "golden files are not what the code writes; look at the difference and commit it" >&2; exit 1; fi

# The bundle is in the repository, so that nobody needs Node to build the program. Building it again must give the same bytes.
.PHONY: check-ui
check-ui: $(UI)/installed
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; $(BUNDLE) "$$out"; \
	for file in bundle.js LICENSES.txt; do cmp "$$out/$$file" internal/ui/web/$$file || { echo "internal/ui/web/$$file is not what make ui builds; run it and commit the result" >&2; exit 1; }; done; \
	if grep -q '"resolved"' internal/ui/web/package-lock.json; then echo "internal/ui/web/package-lock.json names a registry; install with the .npmrc beside it" >&2; exit 1; fi

.PHONY: generate
generate: bin/tools/built ## generate what is made from the .proto files: Go code, and the descriptors of the Python package
	bin/tools/buf generate
	bin/tools/buf build $(DESCRIPTORS) -o sdk/python/src/unskew/wire.binpb

.PHONY: golden
golden: need-go need-c++ ## rewrite the golden files that tests compare with
	$(GO) test -tags $(TAGS) $$(git grep -l --untracked 'flag.Bool("update"' -- '*_test.go' | xargs -n 1 dirname | sort -u | sed 's|^|./|') -short -update

# The versions of the tools are those of tools/go.mod.
bin/tools/built: tools/go.mod tools/go.sum | need-go
	cd tools && $(GO) build -o ../bin/tools/ tool
	@touch $@

.PHONY: need-go need-c++ need-redis-server need-python need-node need-chromium
need-go:
	@command -v $(GO) >/dev/null || { echo "Go is missing. Install Go $$(sed -n 's/^go //p' go.mod) or newer from https://go.dev/dl and put its bin directory on PATH." >&2; exit 1; }
need-c++:
	@command -v $${CXX:-c++} >/dev/null || { echo "A C++ compiler is missing; DuckDB is linked with one. On Debian: apt-get install g++. On macOS: xcode-select --install." >&2; exit 1; }
need-python:
	@python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { echo "Python 3.10 or newer with venv is missing. On Debian: apt-get install python3-venv. On macOS: brew install python." >&2; exit 1; }
need-node:
	@command -v npm >/dev/null && node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)' || { echo "Node.js 18 or newer with npm is missing; it builds and tests the script of the pages. On Debian: apt-get install nodejs npm. On macOS: brew install node." >&2; exit 1; }
need-chromium:
	@command -v chromium >/dev/null || { echo "chromium is missing; tests look at the pages with it. On Debian: apt-get install chromium. On macOS: brew install --cask chromium." >&2; exit 1; }
need-redis-server:
	@command -v redis-server >/dev/null || { echo "redis-server is missing; tests start it on a socket of their own. On Debian: apt-get install redis-server. On macOS: brew install redis." >&2; exit 1; }
