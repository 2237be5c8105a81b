# The ways into the project: `make help`. What takes more than a line is a script in scripts/.
#
#   PG=16               another major version of PostgreSQL; 15 is the default
#   CARGO_TARGET_DIR=…  where everything is built and every server has its files; target/

PG ?= 15
override CARGO_TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
# build.rs gives the flag in question to the extension alone; as cargo-pgrx gives it to every crate,
# every crate would be built twice.
CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND := 1
export PG CARGO_TARGET_DIR CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo demo-stop psql build install test quick-test kill-test bench bench-check soak backlog \
	regress-accept geoip types lint licences release setup clean

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## Shows plugins at work on events, in a private server that stays up
	@scripts/demo

demo-stop: ## Stops the server of the demo
	@scripts/demo-cluster stop

psql: ## Opens psql in the database of the demo
	@scripts/demo-cluster psql demo

build: setup ## Builds in release mode, into a private copy of PostgreSQL
	@scripts/private-postgres
	scripts/extension build

install: setup ## Installs into the system's PostgreSQL, for CREATE EXTENSION posthog_plugins
	@scripts/private-postgres
	scripts/extension install

test: build types ## Runs every test there is; ARGS='--test regress' selects, as in cargo test
	scripts/test $(ARGS)

quick-test: ## Runs the tests that need no server: units and properties
	cargo test --workspace --exclude posthog_plugins --exclude cluster $(ARGS)

kill-test: build ## Kills workers and servers a hundred times while events are delivered; KILLS=1000
	KILLS=$(or $(KILLS),100) scripts/test --test kills -- --nocapture

bench: build ## Measures beside peers and writes docs/performance.md; ARGS=--quick only prints
	scripts/bench $(ARGS)

bench-check: ## Fails if an event takes 5 % more instructions than noted; ARGS=accept notes
	scripts/bench-check $(ARGS)

soak: build ## Delivers for ten minutes, and fails if memory or the queue grow; MINUTES=60
	scripts/bench soak $(or $(MINUTES),10)

backlog: build ## Measures how large the queue gets with 10,000,000 events; EVENTS=1000000 STILL=3600
	scripts/bench backlog $(or $(EVENTS),10000000) $(or $(STILL),0)

regress-accept: build ## Takes over what the regress files print as what is expected
	REGRESS_ACCEPT=1 scripts/test --test regress

geoip: ## Fetches a free database of places for meta.geoip, and says how to use it
	@scripts/geoip

types: ## Checks the bundled plugins against the type declarations, where there is Node
	@if command -v npm > /dev/null; \
	then cd types && npm ci --silent --no-audit --no-fund && npm run --silent check; \
	else echo "types: skipped, there is no npm"; fi

lint: setup licences ## Formatting, clippy, licences
	@scripts/private-postgres
	cargo fmt --all --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	scripts/extension clippy

licences: ## Licences of all dependencies
	@scripts/licences

release: build ## Freezes the SQL of this version; CONTRIBUTING.md says what comes before and after
	scripts/release

setup: ## Installs what is missing: PostgreSQL, clang, cargo-pgrx
	@scripts/setup

clean: ## Stops the demo and removes all that was built
	@scripts/clean
