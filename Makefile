# Azlan. `make tutorial` on a fresh Debian or Ubuntu, as root; `make check` without any privilege.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help tutorial test check soak bench lint packages portal images azure-cli ansible lock clean

# A Python of 3.11 or newer that can make virtual environments.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { command -v "$$python"; break; }; done)
BIN := .venv/bin
PIP := python -m pip --disable-pip-version-check --no-input -qq

# The machine's own place for what several checkouts share, or the user's.
CACHE := $(if $(filter 0,$(shell id -u)),/var/cache/azlan,$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/azlan)
AZ_FOLDER := $(CACHE)/azure-cli
ANSIBLE_FOLDER := $(CACHE)/ansible

# Without compiled modules every worker of the tests compiles all of them anew: a third of what the unit tests cost.
unexport PYTHONDONTWRITEBYTECODE

RUN_PACKAGES := crun mmdebstrap clang libbpf-dev linux-libc-dev nftables iproute2 util-linux kmod e2fsprogs ca-certificates \
	debian-archive-keyring gpg python3-venv
TEST_PACKAGES := iputils-ping procps chromium

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tutorial: packages ## Install, start the cloud and run the peering tutorial with the real az (as root)
	@$(MAKE) --no-print-directory .venv/azlan.stamp portal azure-cli
	@$(BIN)/azlan up -d
	@$(BIN)/azlan tutorial

# Files in the order of the alphabet: those of one long test (Ansible's) begin early, the many quick ones of tests/unit fill what is left.
SIDE_BY_SIDE := --quiet --numprocesses auto --dist loadfile --no-loadscope-reorder

test soak bench: PACKAGES = $(TEST_PACKAGES)
test: packages ## Everything, real packets and the tutorial end to end included (as root)
	@$(MAKE) --no-print-directory .venv/development.stamp portal azure-cli ansible images
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest tests -m "not root and not az" $(SIDE_BY_SIDE)
	@$(BIN)/python -m pytest tests -m "root or az" $(SIDE_BY_SIDE) --durations=10

# The type checker runs beside the tests: it takes one core and most of the time that lint takes.
check: .venv/development.stamp ## What needs no privilege: style, types, layers, unit tests, scenarios on the model engine
	@$(MAKE) --no-print-directory lint > .venv/lint.txt 2>&1 & lint=$$!; \
	$(BIN)/python -m pytest tests/unit tests/scenarios -m "not root and not az and not slow" --quiet --numprocesses auto --dist loadfile || failed=1; \
	wait $$lint || failed=1; cat .venv/lint.txt; exit $${failed:-0}

soak: packages ## What repeats, in full: as root, for hours
	@$(MAKE) --no-print-directory .venv/development.stamp portal azure-cli ansible images
	@AZLAN_SOAK=1 $(BIN)/python -m pytest tests

bench: PACKAGES += iperf3
bench: packages ## The benchmarks (as root); `python -m bench NAME` runs one, JSON=FILE keeps every value
	@$(MAKE) --no-print-directory .venv/development.stamp portal azure-cli images
	@PATH="$$PATH:$(AZ_FOLDER)/bin" $(BIN)/python -m bench $(if $(JSON),--json "$(JSON)")

lint: .venv/development.stamp
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > .venv/layers.txt || { cat .venv/layers.txt; exit 1; }

images: .venv/azlan.stamp ## Build every guest image that is not there yet (as root)
	@$(BIN)/azlan images build

portal: .venv/azlan.stamp ## Build the portal's pages, where their sources have changed
	@$(BIN)/python portal/build.py

# Debian packages that are missing are installed where that is possible, else named.
packages:
	@missing=$$(for name in $(RUN_PACKAGES) $(PACKAGES); do \
		dpkg-query -W -f '$${Status}' "$$name" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$$name"; done); \
	if [ "$$(id -u)" != 0 ]; then echo "Real packets need root: sudo make $(MAKECMDGOALS)" >&2; exit 1; fi; \
	if [ -n "$$missing" ]; then \
		command -v apt-get >/dev/null || { echo "Install with your package manager what Debian calls: $$missing" >&2; exit 1; }; \
		echo "Installing Debian packages: $$missing"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get install -y -qq --no-install-recommends $$missing >/dev/null \
		|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; }; \
	fi

.venv/python.stamp:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer with venv is needed: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making .venv with $(PYTHON)"
	@"$(PYTHON)" -m venv .venv
	@touch $@

.venv/azlan.stamp: .venv/python.stamp requirements/azlan.txt pyproject.toml
	@echo "Installing Azlan's Python packages into .venv"
	@$(BIN)/$(PIP) install --require-hashes -r requirements/azlan.txt
	@$(BIN)/$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@# The control process may not write into the checkout: without this it would compile itself at each start.
	@$(BIN)/python -m compileall -q src/azlan
	@touch $@

.venv/development.stamp: .venv/azlan.stamp requirements/development.txt
	@echo "Installing the packages of the tests into .venv"
	@$(BIN)/$(PIP) install --require-hashes -r requirements/development.txt
	@touch $@

# The real az: the one on PATH, else the PyPI package in an environment of its own.
azure-cli: .venv/azlan.stamp
	@if command -v az >/dev/null; then exit 0; fi; \
	want=$$(sha256sum < requirements/azure-cli.txt); \
	if [ "$$(cat "$(AZ_FOLDER)/installed" 2>/dev/null)" = "$$want" ]; then exit 0; fi; \
	echo "Installing the Azure CLI into $(AZ_FOLDER): once, about two minutes and 750 MB"; \
	mkdir -p "$(AZ_FOLDER)"; \
	"$(PYTHON)" -m venv --clear "$(AZ_FOLDER)"; \
	"$(AZ_FOLDER)"/bin/$(PIP) install --require-hashes -r requirements/azure-cli.txt; \
	echo "$$want" > "$(AZ_FOLDER)/installed"

# Ansible with azure.azcollection, which is 7 MB of the 500 MB of the package that brings it. The last line is what each module begins
# with: it finds out whether anything is missing, and is compiled by it.
ansible: .venv/azlan.stamp ## Install Ansible and its Azure collection where they are not yet
	@want=$$(sha256sum < requirements/ansible.txt); \
	if [ "$$(cat "$(ANSIBLE_FOLDER)/installed" 2>/dev/null)" = "$$want" ]; then exit 0; fi; \
	echo "Installing Ansible into $(ANSIBLE_FOLDER): once, about a minute and 700 MB"; \
	pinned() { awk -v which="$$1" '/^[^ #]/ { collections = /^ansible==/ } collections == which' requirements/ansible.txt; }; \
	mkdir -p "$(ANSIBLE_FOLDER)"; \
	"$(PYTHON)" -m venv --clear "$(ANSIBLE_FOLDER)"; \
	"$(ANSIBLE_FOLDER)"/bin/$(PIP) install --no-compile --require-hashes -r <(pinned 0); \
	"$(ANSIBLE_FOLDER)"/bin/$(PIP) download --no-deps --require-hashes -r <(pinned 1) --dest "$(ANSIBLE_FOLDER)/bundle"; \
	"$(ANSIBLE_FOLDER)"/bin/python -c 'import glob, sys, sysconfig, zipfile; bundle = zipfile.ZipFile(*glob.glob(sys.argv[1] + "/*.whl")); \
		bundle.extractall(sysconfig.get_path("purelib"), [n for n in bundle.namelist() if n.startswith("ansible_collections/azure/")])' \
		"$(ANSIBLE_FOLDER)/bundle"; \
	rm -r "$(ANSIBLE_FOLDER)/bundle"; \
	"$(ANSIBLE_FOLDER)"/bin/python -c 'from ansible_collections.azure.azcollection.plugins.module_utils import azure_rm_common as common; \
		assert common.HAS_AZURE, common.HAS_AZURE_EXC'; \
	echo "$$want" > "$(ANSIBLE_FOLDER)/installed"

LOCK := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --annotation-style=line \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

lock: .venv/development.stamp ## Pin the newest versions anew
	$(LOCK) --upgrade -o requirements/azlan.txt pyproject.toml requirements/build.in
	$(LOCK) --upgrade -o requirements/development.txt requirements/azlan.txt requirements/development.in
	$(LOCK) --upgrade -o requirements/azure-cli.txt requirements/azure-cli.in
	$(LOCK) --upgrade -o requirements/ansible.txt requirements/ansible.in

clean: ## Remove what was installed and built in this checkout
	rm -rf .venv portal/node_modules src/azlan/portal build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
