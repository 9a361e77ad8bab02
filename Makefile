# Brokerscope: `make` lists what can be made. Tools are installed by .ci/setup into the user's cache, once.
SHELL := /bin/bash
PORT ?= 8080
web = .ci/setup web && WEB=1 && . .ci/env

.DEFAULT_GOAL := help
.PHONY: help run test check dist bench clean

help: ## list these targets
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

run: dist ## build the release page and serve it on http://localhost:8080 (PORT= changes it)
	@.ci/serve dist $(PORT)

dist: ## build the folder dist/, which any static host can serve, under any path
	@$(web) && echo "building the release page (a few minutes the first time)" && trunk build --release
	@.ci/size dist

test: ## run every test: native, and in a headless Chromium
	@echo "native tests"
	@cargo test --quiet
	@echo "mistakes planted in the model, and found"
	@cargo test --quiet --features planted-mistakes --test mistakes
	@$(MAKE) --no-print-directory dist
	@.ci/setup browser && . .ci/env && echo "tests in Chromium" && node tests/web/run.mjs dist

check: ## formatting, lints for both targets, and the layers of the code
	@cargo fmt --check
	@cargo clippy --quiet --all-targets -- -D warnings
	@$(web) && cargo clippy --quiet --target wasm32-unknown-unknown --lib --bins -- -D warnings
	@cargo test --quiet --test layers

bench: dist ## measure the budgets, natively and in Chromium
	@cargo bench --quiet --bench engine
	@.ci/setup browser && . .ci/env && node benches/page.mjs dist

clean: ## remove what was built here; the tools in the cache stay
	@rm -rf target dist
