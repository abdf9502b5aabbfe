# What a machine needs is Python 3.11, 3.12 or 3.13 and make; the rest is installed into .venv, from pinned versions.
#
#   make demo PYTHON=/opt/python3.12/bin/python3     another Python than the one on the PATH
#   make test ARGS="tests/test_example_dags.py -x"   pytest's own arguments

.DEFAULT_GOAL := help
.PHONY: help demo up test lint bench constraints clean another-python

# Paths are relative, so that a checkout under a path with a space works.
VENV := .venv
READY := $(VENV)/.ready
# The AWS CLI pins a boto3 of its own, so it lives apart; the tests hold the embedded AWS and our lists against it.
AWS_CLI_VENV := .venv-awscli
AWS_CLI_READY := $(AWS_CLI_VENV)/.ready
export IMGVER_AWS_CLI := $(CURDIR)/$(AWS_CLI_VENV)/bin/aws
RUN := $(VENV)/bin/python -m

# Another environment's modules must not be seen by ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

help: ## these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## a real Airflow gates a HealthImaging copy and a SageMaker image build, on an embedded AWS
	@$(RUN) demo.run

up: $(READY) ## the same embedded AWS under a local Airflow with its UI, until Ctrl-C
	@$(RUN) demo.up

test: $(READY) $(AWS_CLI_READY) ## the whole test suite
	$(RUN) pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder $(ARGS)

lint: $(READY) ## ruff and mypy strict
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

bench: $(READY) ## what listing, imports and thousands of waits cost, beside what there is otherwise
	@$(RUN) pip install --quiet --disable-pip-version-check --editable '.[bench]' \
	  --constraint constraints/py$$($(VENV)/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt
	$(RUN) benchmarks
	$(RUN) benchmarks.waiting

# pip and not a faster installer: it is what users have, it keeps to their own pip.conf (another index, a proxy, a
# certificate), which the faster ones do not read. With everything pinned it takes about a minute.
# The stamp is written last and taken away first, so an interrupted set-up starts again from an empty .venv. It
# holds the Python that .venv was made with, so that naming another one makes it anew.
ifneq ($(PYTHON),)
ifneq ($(PYTHON),$(shell cat $(READY) 2>/dev/null))
$(READY): another-python
endif
endif
$(READY): pyproject.toml $(wildcard constraints/py*.txt)
	@set -e; found=; refused=; clear=; \
	for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python); do \
	  version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
	  if [ -f "constraints/py$$version.txt" ]; then found=$$python; break; fi; \
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
	if ! [ -f $(READY) ] || ! $(VENV)/bin/python -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$$version')"; then \
	  clear=--clear; \
	fi; \
	rm -f $(READY); \
	echo "Setting up $(VENV) with Python $$version and constraints/py$$version.txt: a minute or two, once."; \
	"$$found" -m venv $$clear $(VENV); \
	$(RUN) pip install --quiet --disable-pip-version-check --constraint "constraints/py$$version.txt" --editable '.[dev]'; \
	echo "$$found" > $(READY)

$(AWS_CLI_READY): constraints/awscli.txt | $(READY)
	@rm -f $@; $(RUN) venv --clear $(AWS_CLI_VENV)
	@$(AWS_CLI_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement constraints/awscli.txt
	@touch $@

constraints: ## remake constraints/ from pyproject.toml, with the newest versions (needs uv)
	@command -v uv >/dev/null || { echo "make constraints needs uv: pip install uv" >&2; exit 1; }
	@set -e; for version in 3.11 3.12 3.13; do \
	  file=constraints/py$$version.txt; \
	  printf '%s\n' \
	    "# One version of everything that the package and its dev extra need, for Python $$version." \
	    "# pip install --constraint $$file ...; remade with \`make constraints\`." > $$file.new; \
	  uv pip compile pyproject.toml --extra bench --python-version $$version --quiet --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links >> $$file.new; \
	  mv $$file.new $$file; echo "$$file: $$(grep -c == $$file) versions"; \
	done
	@{ echo "# The AWS CLI that the tests compare with, in an environment of its own."; \
	  echo awscli | uv pip compile - --python-version 3.11 --universal --quiet --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links; } > constraints/awscli.txt.new
	@mv constraints/awscli.txt.new constraints/awscli.txt

clean: ## take away .venv, scratch Airflows, caches and builds
	rm -rf $(VENV) $(AWS_CLI_VENV) .venv-bench .demo .up build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
