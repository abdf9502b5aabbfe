# You need Python 3.11, 3.12 or 3.13, and make. Everything else is installed into .venv, in pinned versions.
#
#   make demo PYTHON=/opt/python3.12/bin/python3     another Python than that on the PATH
#   make test ARGS="tests/test_example_dags.py -x"   pytest's own arguments
#   make test-stack AIRFLOW=3.1 ARGS=tests/stack/test_stack_events.py   an older Airflow: 3.1 or 3.2
#   make test-matrix ONLY="3.1-py3.11 3.2-*" PYTHONS="/opt/python3.12/bin/python3"   some of them

.DEFAULT_GOAL := help
.PHONY: help demo up test test-stack test-matrix lint bench constraints clean another-python

# Relative paths, because a checkout may be under a path with a space.
VENV := .venv
READY := $(VENV)/.ready
# The AWS CLI pins its own boto3, so it has an environment of its own. The tests compare our lists with its lists.
AWS_CLI_VENV := .venv-awscli
AWS_CLI_READY := $(AWS_CLI_VENV)/.ready
# s3fs needs an older boto3, so the whole Airflow of `make test-stack` has an environment too.
STACK_VENV := .venv-stack$(AIRFLOW:%=-%)
STACK_CONSTRAINTS := constraints/stack-$(AIRFLOW:%=airflow%-)py
STACK_READY := $(STACK_VENV)/.ready
export IMGVER_AWS_CLI := $(CURDIR)/$(AWS_CLI_VENV)/bin/aws
RUN := $(VENV)/bin/python -m

# The modules of another environment must not be imported here.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## run gates and reports on a whole Airflow and an embedded AWS: about a minute
	@$(RUN) demo.run

up: $(READY) ## run the same Airflow with its UI and the embedded AWS, until Ctrl-C
	@$(RUN) demo.up

test: $(READY) $(AWS_CLI_READY) ## run the whole test suite
	$(RUN) pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder $(ARGS)

test-stack: $(STACK_READY) ## run gates on an Airflow with PostgreSQL and Celery, whose processes are killed meanwhile
	$(STACK_VENV)/bin/python -m pytest $(if $(findstring tests/stack/,$(ARGS)),,tests/stack) $(ARGS)

test-matrix: $(READY) ## run the tests on the lowest and the newest Airflows and Pythons, in .matrix/
	@$(VENV)/bin/python tests/matrix.py --only $(foreach name,$(ONLY),'$(name)') --pythons $(PYTHONS) -- $(ARGS)

lint: $(READY) ## run ruff, and mypy in strict mode
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

bench: $(READY) ## measure lists, imports, thousands of waits, fleets and reports, and their alternatives
	$(RUN) benchmarks
	$(RUN) benchmarks.waiting
	$(RUN) benchmarks.fleet
	$(RUN) benchmarks.changing
	$(RUN) benchmarks.reporting

# pip reads the user's pip.conf (another index, a proxy, a certificate), which faster installers do not. With pinned
# versions it takes about a minute.
# The stamp is deleted first and written last, so that make repeats an interrupted set-up with an empty .venv. It
# has the path of the Python of .venv, so that another PYTHON makes a new .venv.
ifneq ($(PYTHON),)
$(foreach ready,$(READY) $(STACK_READY),$(if $(subst x$(PYTHON),,x$(shell cat $(ready) 2>/dev/null)),\
  $(eval $(ready): another-python)))
endif

PYTHONS_NEEDED := Python 3.11, 3.12 or 3.13

# $(call set-up,folder,beginning of the constraint files' names,extra)
define set-up
	@set -e; found=; refused=; clear=; \
	for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python); do \
	  version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
	  if [ -f "$(2)$$version.txt" ]; then found=$$python; break; fi; \
	  refused="$$refused $$python is $$version."; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "$(or $(PYTHON),Python) does not work here: this needs $(if $(wildcard $(2)3.13.txt),$(PYTHONS_NEEDED),Python 3.11).$$refused" \
	    "Install it, or give its path: make PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$found ($$version) has no venv and ensurepip modules. Install them" \
	    "(Debian, Ubuntu: apt install python$$version-venv)." >&2; exit 1; \
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

ifeq ($(wildcard $(STACK_CONSTRAINTS)*.txt),)
$(STACK_READY):
	@echo "AIRFLOW=$(AIRFLOW) has no file $(STACK_CONSTRAINTS)*.txt. Leave it out for the newest, or use 3.1 or 3.2." >&2; exit 1
else
$(STACK_READY): pyproject.toml $(wildcard $(STACK_CONSTRAINTS)*.txt)
	$(call set-up,$(STACK_VENV),$(STACK_CONSTRAINTS),stack)
endif

$(AWS_CLI_READY): constraints/awscli.txt | $(READY)
	@rm -f $@; $(RUN) venv --clear $(AWS_CLI_VENV)
	@$(AWS_CLI_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement constraints/awscli.txt
	@touch $@

# A file, its Python, and the arguments of uv. An older Airflow gets the versions of its time, because it accepts
# later ones and fails with them (structlog, fastapi); the packages that we need newer are exceptions by name.
# LOWEST has the lowest versions in pyproject.toml. The dates need an index that has the upload time of each file.
LOWEST := --resolution lowest-direct --exclude-newer 2025-10-20 $(foreach package,\
  apache-airflow-providers-common-compat boto3 botocore s3transfer moto pytest hypothesis blockbuster,\
  --exclude-newer-package $(package)=2026-11-15)
AIRFLOW_3_2 := --exclude-newer 2026-06-05 $(foreach package,moto blockbuster,\
  --exclude-newer-package $(package)=2026-11-15)
# s3fs, in the stack, needs the aiobotocore that goes with boto3.
STACK_LOWEST := $(LOWEST) $(foreach package,aiobotocore s3fs fsspec,--exclude-newer-package $(package)=2026-11-15)
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
stack-airflow3.1-py3.11 3.11 pyproject.toml --extra stack $(STACK_LOWEST)
stack-airflow3.2-py3.11 3.11 pyproject.toml --extra stack $(AIRFLOW_3_2)
awscli 3.11 constraints/awscli.in --universal
endef
export CONSTRAINTS

constraints: ## remake constraints/ from pyproject.toml, with the newest versions (needs uv)
	@command -v uv >/dev/null || { echo "make constraints needs uv. Install it: pip install uv" >&2; exit 1; }
	@set -e; echo "$$CONSTRAINTS" | while read -r name version arguments; do \
	  case " $(or $(ONLY),$$name) " in *" $$name "*) ;; *) continue ;; esac; \
	  file=constraints/$$name.txt; \
	  printf '%s\n' "# One version of everything, for Python $$version; remade with \`make constraints\`." > $$file.new; \
	  uv pip compile $$arguments --python-version $$version --quiet --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links >> $$file.new; \
	  mv $$file.new $$file; echo "$$file: $$(grep -c == $$file) versions"; \
	done

clean: ## delete .venv, scratch Airflows, caches and builds
	rm -rf $(VENV) $(AWS_CLI_VENV) .venv-stack* .venv-bench .matrix .demo .up .stack build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
