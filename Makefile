# make setup     Debian packages and a Python environment in .venv (all others call it)
# make demo      the lab network, the same traffic under every algorithm, out/demo/report.html
# make notebook  JupyterLab on the lessons, in the lab's own Linux
# make test      everything that is tested: form, types, units, the guest, the lab, the notebooks
# make bench     the benchmarks, ours beside the peers (NAMES="guest exec": only these); make bench-peers installs peers
# make test-hub  the pod that a JupyterHub makes of deploy/jupyterhub/values.yaml, held to the "restricted" standard
# make load-test  how many labs this machine takes before cells need twice the time (minutes, on an idle machine; out/load.json)
# make test-elsewhere  the images' recipe in a debootstrapped Debian 13 (SUITE=bookworm: 12), a lab in it as a pod; minutes, needs root
# make sync-tests  kube-proxy's partial syncs against full ones, with many random clusters (minutes)
# make mutants   every plan without one of its rules contradicts the flow table (minutes; not part of make test)
# make journeys  a journey for every row of the flow table, on random clusters, and a thousand in a row (minutes)
# make test-course  every right and wrong answer, a class graded also by plain nbgrader, every lesson checked (minutes)
# make faults  the last lesson's broken clusters of 100 students, each mended (minutes)
# make grade-crowd  200 submissions, generated and graded (COUNT=20: fewer; JOBS=2; COURSE=folder), and the time it took
# make claims   the claim ledger measured anew into docs/claims.md (CHECK=yes: compared with it instead); a minute or more
# make docs      the site in out/docs/html: documents, lessons as they ran, the API (the first time minutes: it runs the lessons)
# make lint      form, types and the import contract alone
# make notebooks the lessons' sources into notebooks
# make guest-verify  the shipped Linux built again from its pinned source and compared (SOURCE=archive); guest-kernel/verify gives its status
# make guest-kernel  the shipped Linux built anew, before a release
# make lock      requirements.lock anew from pyproject.toml

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What the lab needs: its Linux, and the commands that a professional types in it.
LAB_PACKAGES := python3-venv $(shell sed 's/[#].*//' apt.txt)
# What the tests need beside it: Debian's own guest, a browser, and libseccomp for the sandbox.
TEST_PACKAGES := user-mode-linux chromium chromium-driver libseccomp2
# Who the benchmarks compare with, beside what the lab needs.
BENCH_PACKAGES := mininet bridge-utils wrk
# What makes another Debian to try labkit in.
ELSEWHERE_PACKAGES := debootstrap libseccomp2
# PACKAGES=present: they are here under other names; do not look.
PACKAGES ?= debian

.PHONY: claims setup setup-test demo notebook notebooks docs test lint lock unit lab-tests sync-tests host-tests virtual-tests attempts faults test-course grade-crowd mutants journeys bench bench-peers test-hub load-test test-elsewhere guest-kernel guest-verify

setup: packages $(VENV)/.complete

.PHONY: packages packages-test packages-elsewhere
packages packages-test packages-elsewhere:
ifneq ($(PACKAGES),present)
	@tools/debian-packages $(LAB_PACKAGES) $(if $(filter packages-test,$@),$(TEST_PACKAGES)) \
	    $(if $(filter packages-elsewhere,$@),$(ELSEWHERE_PACKAGES))
endif

$(VENV)/.complete: requirements.lock pyproject.toml guest-kernel/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@# compat: a path instead of a finder, which each Python would import typing and pathlib for
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	    --config-settings editable_mode=compat --editable . --editable guest-kernel
	$(BIN)/labkit session install --sys-prefix
	@touch $@

setup-test: packages-test $(VENV)/.complete

demo: setup
	$(BIN)/labkit demo

notebook: setup
	$(BIN)/jupyter lab --notebook-dir=notebooks --LabApp.news_url=None

notebooks: setup
	$(BIN)/labkit course release

docs: setup
	$(BIN)/python tools/website

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The lab's tests have one of this machine's processors to themselves, the others share the rest.
test: setup-test lint unit
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target host-tests guest-tests

unit: setup
	$(BIN)/python -m pytest tests/unit tests/golden tests/properties

host-tests: setup-test
	$(BIN)/python -m pytest -m "not slow" tests/guest tests/commands tests/session tests/notebooks tests/course tests/virtual

# Exact delays and queues, in guests whose time is virtual: all of it; `make test` takes a small part.
virtual-tests: setup
	$(BIN)/python -m pytest --timeout=600 tests/virtual

# Peers are only for the benchmarks; one that is missing is named.
bench-peers:
	@tools/debian-packages $(BENCH_PACKAGES)

bench: setup
	$(BIN)/labkit bench $(NAMES)

# KubeSpawner and JupyterHub stay in an environment of their own.
test-hub:
	$(PYTHON) -m venv out/hub
	out/hub/bin/pip install --quiet --disable-pip-version-check "jupyterhub-kubespawner>=7" "jupyterhub>=5" pyyaml
	out/hub/bin/python tests/hub

load-test: setup
	$(BIN)/python tools/load_test.py --json out/load.json $(LOAD)

test-elsewhere: packages-elsewhere $(VENV)/.complete
	$(if $(filter 0,$(shell id -u)),,sudo) $(BIN)/python tests/elsewhere $(if $(SUITE),--suite $(SUITE))

# In virtual time silence costs nothing. EXAMPLES: how many random clusters.
journeys: setup
	$(BIN)/labkit exec --memory 768M --virtual-time --wall-time-limit 3600 -- env PYTHONPATH=tests $(BIN)/python -m flows.journeys
	$(BIN)/labkit exec --memory 768M -- env JOURNEY_EXAMPLES=$(or $(EXAMPLES),50) \
	    $(BIN)/python -m pytest --timeout=1800 --basetemp=/run/lab-tests tests/lab/test_journey_flows.py -k any_cluster
	$(BIN)/labkit exec --memory 768M -- env PYTHONPATH=tests $(BIN)/python -m flows.thousand

# Each rule, element and real server taken away in turn, in guests whose time is virtual; out/mutants-*.json.
MUTANT_MODES := iptables nftables ipvs
mutants: $(MUTANT_MODES:%=mutants-%)
mutants-%: setup
	@mkdir -p out
	$(BIN)/labkit exec --memory 768M --virtual-time --wall-time-limit 7200 -- \
	    env PYTHONPATH=tests $(BIN)/python -m flows.trial $* out/mutants-$*.json

.PHONY: guest-tests
guest-tests: lab-tests
	$(MAKE) --no-print-directory attempts

# Right and wrong answers to every exercise, in one guest whose time is virtual (so no time-out of pytest's).
attempts: setup
	$(BIN)/labkit exec --memory 768M --virtual-time --wall-time-limit 1800 -- \
	    $(BIN)/python -m pytest -m "not slow" --timeout=0 --basetemp=/run/lab-tests \
	    tests/course/test_attempts.py tests/course/test_faults.py

# The capstone's clusters of 100 students: each is broken, and mended by its commands.
faults: setup
	$(BIN)/labkit exec --memory 768M --virtual-time --wall-time-limit 3600 -- \
	    $(BIN)/python -m pytest --timeout=0 --basetemp=/run/lab-tests tests/course/test_faults.py

test-course: attempts
	$(BIN)/python -m pytest --timeout=1200 tests/unit/test_grade_*.py tests/unit/test_course_*.py tests/course tests/notebooks tests/session/test_hostile.py
	$(BIN)/labkit course check

claims: setup
	$(BIN)/labkit course claims $(if $(CHECK),--check)

COURSE ?= /tmp/labkit-crowd
grade-crowd: setup
	PYTHONPATH=tests $(BIN)/python -m course.crowd $(COURSE) $(or $(COUNT),200)
	cd $(COURSE) && $(CURDIR)/$(BIN)/labkit course grade 02-by-hand --jobs $(or $(JOBS),2) > grades.tsv
	PYTHONPATH=tests $(BIN)/python -m course.crowd $(COURSE) --compare

lab-tests: setup
	$(BIN)/labkit exec --memory 768M -- $(BIN)/python -m pytest --basetemp=/run/lab-tests tests/lab

sync-tests: setup
	$(BIN)/labkit exec --memory 768M -- env SYNC_EXAMPLES=$(or $(EXAMPLES),100) \
	    $(BIN)/python -m pytest --timeout=1800 --basetemp=/run/lab-tests tests/lab/test_sync_partial.py

# Minutes, 2 GB, a compiler, flex, bison and bc: never part of `make test`.
guest-kernel: $(VENV)/.complete
	@$(BIN)/python -m labkit_guest build $(if $(SOURCE),--source $(SOURCE))

# make ends with 2 whatever its command ends with: guest-kernel/verify itself ends with 0, 1 or 3.
guest-verify: $(VENV)/.complete
	@guest-kernel/verify $(if $(SOURCE),--source $(SOURCE)) || { status=$$?; \
	    case $$status in 1) said=different;; 3) said='cannot be told here';; *) said='no verdict';; esac; \
	    echo "guest-verify: $$said (status $$status)" >&2; exit $$status; }

# Made with the oldest Python that must do, Debian 12's 3.11.2: some packages refuse it that take a later 3.11.
lock: PYTHON := /usr/bin/python3
lock:
	$(PYTHON) -m venv --clear $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet pip-tools
	$(VENV)-lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
	    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra dev --output-file requirements.lock pyproject.toml
	@# Beside a folder pip takes no hashes: images get the versions alone.
	sed -n 's/^\([a-z0-9.-]*==[^ ]*\).*/\1/p' requirements.lock > constraints.txt
