# What there is to do here; each line of work is a script that can be called by itself.
.DEFAULT_GOAL := help
.PHONY: help setup test lint demo bench bench-restore windows fuzz-short nightly

# Where rustup puts cargo, also when that happened a moment ago.
export PATH := $(PATH):$(HOME)/.cargo/bin

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install what building and testing needs (Debian)
	scripts/setup-tools.sh base oracles lint

test: ## all tests of all crates, after installing what they compare with (Debian)
	scripts/setup-tools.sh base oracles
	cargo test --workspace --locked --no-fail-fast

lint: ## formatting, clippy, documents, dependencies, and the project's own rules
	scripts/lint.sh

demo: ## real disks into a vault and back, checked with other people's tools
	scripts/demo.sh

bench: ## Hyperkeep beside its peers: 40 GB of disk, about an hour
	scripts/bench/run.sh

bench-restore: ## only restores, of one disk with every program in turns: 20 GB, 20 minutes
	scripts/bench/restore.sh

windows: ## build for Windows, and run the tests under Wine
	scripts/setup-tools.sh windows
	scripts/windows-test.sh --optimised

fuzz-short: ## every fuzz target for 30 seconds
	scripts/setup-tools.sh fuzz
	scripts/fuzz.sh 30

nightly: ## many cases with other seeds, and long fuzzing: some hours
	scripts/nightly.sh
