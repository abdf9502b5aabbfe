# What a machine needs is Python 3.11, 3.12 or 3.13 and make; the rest is installed into .venv, from pinned versions.
#
#   make demo PYTHON=/opt/python3.12/bin/python3     another Python than the one on the PATH
#   make test ARGS="tests/test_example_dags.py -x"   pytest's own arguments
#   make test-matrix ONLY="3.1-py3.11 3.2-*" PYTHONS="/opt/python3.12/bin/python3"   some, with Pythons off the PATH

.DEFAULT_GOAL := help
.PHONY: help demo up test test-stack test-matrix lint bench constraints clean another-python

# Paths are relative, so that a checkout under a path with a space works.
VENV := .venv
READY := $(VENV)/.ready
# The AWS CLI pins a boto3 of its own, so it lives apart; the tests hold the embedded AWS and our lists against it.
AWS_CLI_VENV := .venv-awscli
AWS_CLI_READY := $(AWS_CLI_VENV)/.ready
# s3fs pins boto3 back, so the whole Airflow of `make test-stack` lives apart too.
STACK_VENV := .venv-stack
STACK_READY := $(STACK_VENV)/.ready
export IMGVER_AWS_CLI := $(CURDIR)/$(AWS_CLI_VENV)/bin/aws
RUN := $(VENV)/bin/python -m

# Another environment's modules must not be seen by ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

help: ## these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## a real Airflow gates a HealthImaging copy and a SageMaker image build, on an embedded AWS
	@$(RUN) demo.run

up: $(READY) ## the same embedded AWS under a local Airflow with its UI, until Ctrl-C
	@$(RUN) demo.up

test: $(READY) $(AWS_CLI_READY) ## the whole test suite
	$(RUN) pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder $(ARGS)

test-stack: $(STACK_READY) ## the gates on a whole Airflow with PostgreSQL and Celery, whose parts are killed meanwhile
	$(STACK_VENV)/bin/python -m pytest tests/stack $(ARGS)

test-matrix: $(READY) ## the tests on the lowest and the newest Airflows and Pythons, in .matrix/
	@$(VENV)/bin/python tests/matrix.py --only $(foreach name,$(ONLY),'$(name)') --pythons $(PYTHONS) -- $(ARGS)

lint: $(READY) ## ruff and mypy strict
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

bench: $(READY) ## what listing, imports, thousands of waits and reports cost, beside what there is otherwise
	$(RUN) benchmarks
	$(RUN) benchmarks.waiting
	$(RUN) benchmarks.reporting

# pip and not a faster installer: it is what users have, it keeps to their own pip.conf (another index, a proxy, a
# certificate), which the faster ones do not read. With everything pinned it takes about a minute.
# The stamp is written last and taken away first, so an interrupted set-up starts again from an empty .venv. It
# holds the Python that .venv was made with, so that naming another one makes it anew.
ifneq ($(PYTHON),)
$(foreach ready,$(READY) $(STACK_READY),$(if $(subst x$(PYTHON),,x$(shell cat $(ready) 2>/dev/null)),\
  $(eval $(ready): another-python)))
endif

# $(call set-up,folder,beginning of the constraint files' names,extra)
define set-up
	@set -e; found=; refused=; clear=; \
	for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python); do \
	  version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
	  if [ -f "$(2)$$version.txt" ]; then found=$$python; break; fi; \
	  refused="$$refused $$python is $$version."; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "$(or $(PYTHON),Python) will not do: this needs Python 3.11, 3.12 or 3.13.$$refused" \
	    "Install one, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$found ($$version) has no venv and ensurepip modules: install them" \
	    "(Debian, Ubuntu: apt install python$$version-venv)" >&2; exit 1; \
	fi; \
	if ! [ -f $@ ] || ! $(1)/bin/python -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$$version')"; then \
	  clear=--clear; \
	fi; \
	rm -f $@; \
	echo "Setting up $(1) with Python $$version and $(2)$$version.txt: a minute or two, once."; \
	"$$found" -m venv $$clear $(1); \
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check --constraint "$(2)$$version.txt" \
	  --editable '.[$(3)]'; \
	echo "$$found" > $@
endef

$(READY): pyproject.toml $(wildcard constraints/py*.txt)
	$(call set-up,$(VENV),constraints/py,dev)

$(STACK_READY): pyproject.toml $(wildcard constraints/stack-py*.txt)
	$(call set-up,$(STACK_VENV),constraints/stack-py,stack)

$(AWS_CLI_READY): constraints/awscli.txt | $(READY)
	@rm -f $@; $(RUN) venv --clear $(AWS_CLI_VENV)
	@$(AWS_CLI_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement constraints/awscli.txt
	@touch $@

# A file, the Python it is for, and what uv is told. An older Airflow comes with what there was in its days, for it
# takes much that came later and breaks on it (structlog, fastapi); what we need newer is let through by name.
# The lowest is that of the floors in pyproject.toml. The dates need an index that tells when a file came to it.
LOWEST := --resolution lowest-direct --exclude-newer 2025-10-20 $(foreach package,\
  apache-airflow-providers-common-compat boto3 botocore s3transfer moto pytest hypothesis blockbuster,\
  --exclude-newer-package $(package)=2026-11-15)
AIRFLOW_3_2 := --exclude-newer 2026-06-05 $(foreach package,moto blockbuster,\
  --exclude-newer-package $(package)=2026-11-15)
define CONSTRAINTS
py3.11 3.11 pyproject.toml --extra dev
py3.12 3.12 pyproject.toml --extra dev
py3.13 3.13 pyproject.toml --extra dev
airflow3.1-py3.11 3.11 pyproject.toml --extra test $(LOWEST)
airflow3.1-py3.12 3.12 pyproject.toml --extra test $(LOWEST)
airflow3.1-py3.13 3.13 pyproject.toml --extra test $(LOWEST)
airflow3.2-py3.11 3.11 pyproject.toml --extra test $(AIRFLOW_3_2)
airflow3.2-py3.12 3.12 pyproject.toml --extra test $(AIRFLOW_3_2)
airflow3.2-py3.13 3.13 pyproject.toml --extra test $(AIRFLOW_3_2)
stack-py3.11 3.11 pyproject.toml --extra stack
stack-py3.12 3.12 pyproject.toml --extra stack
stack-py3.13 3.13 pyproject.toml --extra stack
awscli 3.11 constraints/awscli.in --universal
endef
export CONSTRAINTS

constraints: ## remake constraints/ from pyproject.toml, with the newest versions (needs uv)
	@command -v uv >/dev/null || { echo "make constraints needs uv: pip install uv" >&2; exit 1; }
	@set -e; echo "$$CONSTRAINTS" | while read -r name version arguments; do \
	  case " $(or $(ONLY),$$name) " in *" $$name "*) ;; *) continue ;; esac; \
	  file=constraints/$$name.txt; \
	  printf '%s\n' "# One version of everything, for Python $$version; remade with \`make constraints\`." > $$file.new; \
	  uv pip compile $$arguments --python-version $$version --quiet --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links >> $$file.new; \
	  mv $$file.new $$file; echo "$$file: $$(grep -c == $$file) versions"; \
	done

clean: ## take away .venv, scratch Airflows, caches and builds
	rm -rf $(VENV) $(AWS_CLI_VENV) $(STACK_VENV) .venv-bench .matrix .demo .up .stack build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
