# Every target with a sentence: `make`. The two that matter first: `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo up down status dashboards token key test check bench chaos drill mix images kubernetes sbom audit docs lock clean

PYTHON ?= python3
UV_VERSION := 0.13.9
TOOLS := .local/tools
UV := $(shell command -v uv || echo $(TOOLS)/bin/uv)
VENV := .venv
RUN := $(VENV)/bin/python
MEMBERS := libs/contracts libs/engines libs/servicekit libs/testkit services/wallet \
           services/transaction-history services/notifications services/fraud services/access deploy/local deploy/demo deploy/observability deploy/gateway deploy/kubernetes deploy/release
SETTINGS := wallet.config:WalletSettings wallet.config:WalletOwnerSettings \
            transaction_history.config:HistorySettings transaction_history.config:HistoryOwnerSettings \
            fraud.config:FraudSettings fraud.config:FraudOwnerSettings \
            notifications.config:NotificationsSettings notifications.config:NotificationsOwnerSettings \
            access.config:AccessSettings access.config:AccessOwnerSettings observability.probe.settings:ProbeSettings
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
          --no-annotate $(addprefix --no-emit-package ,$(notdir $(patsubst deploy/local,local-stack,$(MEMBERS))))

help: ## Print every target with a sentence.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .local/setup.stamp ## Make the virtual environment with every locked package.

$(TOOLS)/bin/uv:
	@echo "uv is not on the PATH: installing it into $(TOOLS)"
	@$(PYTHON) -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet uv==$(UV_VERSION)

.local/setup.stamp: requirements.lock $(addsuffix /pyproject.toml,$(MEMBERS)) | $(if $(filter $(TOOLS)/bin/uv,$(UV)),$(TOOLS)/bin/uv)
	@mkdir -p .local
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: set PYTHON=/path/to/python")'
	@test -x $(RUN) || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip sync --quiet --require-hashes requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation $(addprefix -e ,$(MEMBERS))
	@touch $@

lock: $(if $(filter $(TOOLS)/bin/uv,$(UV)),$(TOOLS)/bin/uv) ## Resolve requirements.lock, and each image's share of it, anew.
	@$(COMPILE) requirements.in $(addsuffix /pyproject.toml,$(MEMBERS)) -o requirements.lock
	@$(foreach service,$(filter services/%,$(MEMBERS)),$(COMPILE) -c requirements.lock deploy/images/requirements.in \
	    $(addsuffix /pyproject.toml,libs/contracts libs/servicekit $(service)) -o deploy/images/$(notdir $(service)).lock &&) true
	@$(COMPILE) -c requirements.lock deploy/images/requirements.in libs/contracts/pyproject.toml libs/servicekit/pyproject.toml \
	    -o deploy/images/common.lock
	@$(COMPILE) deploy/images/tools.in -o deploy/images/tools.lock

demo: setup ## Play a marketplace's day, or INPUT=file.csv, on a stack of its own, and prove every cent; OPERATIONS=n ends early.
	@$(RUN) -m demo $(if $(INPUT),--input "$(INPUT)") $(if $(OPERATIONS),--operations $(OPERATIONS))

up: setup ## Start the local stack and follow it; DETACH=1 returns when everything is ready, OBSERVE=1 watches it, FULL=1 runs all there is.
	@$(RUN) -m local_stack up $(if $(DETACH),--detach)

down: ## Stop the local stack in order; its data stays.
	@if test -x $(RUN); then $(RUN) -m local_stack down; fi

status: ## Show the processes of the local stack.
	@$(RUN) -m local_stack status

dashboards: setup ## Ask the watched stack for every panel, name those without data, and write a page of each dashboard.
	@$(RUN) -m observability check-dashboards

token: setup ## Print a token of the local stack's issuer: SUB=alice OWNERS=a,b KIND=user SCOPES="wallets:read" TTL=3600.
	@$(RUN) -m local_stack token $(if $(SUB),--sub "$(SUB)") $(if $(OWNERS),--owners "$(OWNERS)") $(if $(KIND),--kind $(KIND)) \
	    $(if $(SCOPES),--scopes "$(SCOPES)") $(if $(TTL),--ttl $(TTL))

key: setup ## Print the local stack's first key: KIND=service or operator.
	@$(RUN) -m local_stack key $(if $(KIND),--kind $(KIND))

test: setup ## Set up and pass every check and test, with the time of each stage.
	@$(RUN) -m tests.stages

check: setup ## Run the formatter, the linter, the type checker and the contracts of imports and dependencies.
	@$(RUN) -m tests.stages check

bench: setup ## Measure the platform beside pgbench that writes the same rows; CELLS=http,idle chooses, BEFORE=commit compares.
	@$(RUN) -m tests.load $(if $(CELLS),--cells $(CELLS)) $(if $(SIZES),--sizes $(SIZES)) $(if $(BEFORE),--before $(BEFORE))

chaos: setup ## Inflict faults on the running platform and judge what is left; FAULTS=F1,F2 chooses, SEEDS=3 repeats, HOURS=2 goes on, STEPS=n walks.
	@$(RUN) -m tests.chaos $(if $(FAULTS),--faults $(FAULTS)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(HOURS),--hours $(HOURS)) $(if $(STEPS),--steps $(STEPS))

drill: setup ## Take instances away and break things on the whole stack, and see what clients and operators are told; ONLY=alerts chooses, SEEDS=3 repeats releases, SHORT=1 takes five minutes.
	@$(RUN) -m tests.drills $(if $(ONLY),--only $(ONLY)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SHORT),--short)

mix: setup ## Play OPERATIONS=200000 random commands of SEED=1 on two API instances, judged by a model, and prove what is left.
	@$(RUN) -m tests.mix $(if $(OPERATIONS),--operations $(OPERATIONS)) $(if $(SEED),--seed $(SEED))

images: setup ## Build every service's image and run docker-compose.yml: with Docker, else as root on Debian with podman and no registry.
	@$(RUN) -m tests.images

kubernetes: setup ## Build every overlay of deploy/kubernetes and judge what comes of it; kustomize is compiled by Go, once.
	@$(RUN) -m tests.kubernetes

sbom: setup ## List the parts of each image with versions, hashes and licences (CycloneDX), in .local/results/sbom.
	@$(RUN) -m tests.supply sbom

audit: setup ## Ask whether a locked package is known to be vulnerable; SERVICE=osv asks elsewhere. Fails where one was not looked at.
	@$(RUN) -m tests.supply audit $(if $(SERVICE),--service $(SERVICE))

docs: setup ## Make what is generated: pages of errors, settings, scopes, metrics and logs, OpenAPI and AsyncAPI documents, schemas, routes of the gateway, rules, alerts, dashboards.
	@$(RUN) -m servicekit.errors_page > docs/errors.md
	@$(RUN) -m servicekit.settings_page $(SETTINGS) > docs/settings.md
	@$(RUN) -m servicekit.scopes_page > docs/scopes.md
	@$(RUN) -m observability metrics-page > docs/metrics.md
	@$(RUN) -m observability logs-page > docs/logs.md
	@$(RUN) -m contracts.asyncapi > docs/asyncapi.json
	@$(RUN) -m contracts.schema_files
	@$(RUN) -m tests.openapi
	@$(RUN) -m gateway files
	@$(RUN) -m manifests files
	@$(RUN) -m tests.schema
	@$(RUN) -m observability rules
	@$(RUN) -m observability dashboards
	@$(RUN) -m observability alertmanager > deploy/observability/alertmanager.yml

clean: ## Stop the local stack and remove its data, logs and results; asks at a terminal, YES=1 does not.
	@if test -x $(RUN); then $(RUN) -m local_stack clean $(if $(YES),--yes,$$(test -t 0 || echo --yes)); fi
