# The one list of commands; CI calls the same ones. `make help` prints it.

.DEFAULT_GOAL := help
.PHONY: help up down backup restore test test-faults check fmt fuzz deny bench

SECONDS ?= 30

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 13

up: ## Install what is missing, build, and run controller and agent on this machine (PORT=, SESSION_PORT=, ADDRESS=, STATE=)
	@scripts/up.sh

down: ## Stop what `make up` started from another terminal
	@scripts/down.sh

backup: ## Copy what is stored, and the controller's identity, into a new folder (TO=)
	@scripts/backup.sh $(if $(TO),"$(TO)")

restore: ## Put a backup back, where there is no data; then start again (FROM=)
	@scripts/restore.sh $(if $(FROM),"$(FROM)")

test: ## Run every test: format, lints, units, whole system, page, dependencies
	@scripts/test.sh

test-faults: ## Kill everything, again and again, and count what is lost (SEED=, KILLS=40 or DURATION= in seconds, FORM=samples or commands)
	@scripts/faults.sh

check: ## The quick part of the tests: format and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

fmt: ## Format the Rust code
	cargo fmt --all

fuzz: ## Fuzz every decoder (SECONDS=30 each)
	@scripts/fuzz.sh $(SECONDS)

deny: ## Check licences, bans, sources and advisories of the dependencies
	cargo deny check

bench: ## Measure cost, latency and history beside their peers; figures into target/bench/figures.json
	@scripts/bench.sh
