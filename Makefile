# Everything a person or CI runs. The environment is made once, in .venv, and again when what it rests on changes.

PYTHON ?= python3
# Passed to pip when it installs torch, for instance to name an index with builds for one kind of machine.
TORCH_PIP_ARGS ?=
# Passed to pytest, for instance PYTEST_ARGS="-k digest -x".
PYTEST_ARGS ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
EXTRAS := simulation,export,tracking,wandb,frames,notebooks,registration,dev
WITH_EXTRAS := .venv/.extras
WITH_RAY := .venv/.with-ray
WITH_BENCH := .venv/.with-bench

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: touched help install demo lint test test-slow test-deployment test-operations test-faults soak images licences lock protos map api gallery notebooks bench-doors sbom release audit containers pre-commit clean needs-data check-gpu \
	bench-simulation bench-secagg bench-deployment bench-dp-step bench-brain-mri bench-chest-xray bench-crop bench-scan dicom-zoo audit-privacy \
	bench-privacy bench-private-recipe bench-private-hospitals bench-private-features bench-private-choice bench-medicine bench-medicine-privacy private-networks bench-ledger bench-near-copies bench-commands cases

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Written only where the extras are others than those of the last installation.
$(WITH_EXTRAS): FORCE
	@mkdir -p .venv
	@echo "$(EXTRAS)" | cmp -s - $@ || echo "$(EXTRAS)" >$@
FORCE:

$(INSTALLED): pyproject.toml constraints.txt $(WITH_EXTRAS)
	@command -v $(PYTHON) >/dev/null || { echo "make: there is no '$(PYTHON)'; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed and '$(PYTHON)' is $$($(PYTHON) --version 2>&1); name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: '$(PYTHON)' cannot make an environment; install its venv module (Debian: python3-venv)" >&2; exit 1; }
	@# An environment that is there keeps the Python that it was made with: two of them in one do not work.
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile $(TORCH_PIP_ARGS) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@# pip compiles 20,000 files one after another; -qq, since some packages have templates that are no Python yet.
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	@touch $@

install: $(INSTALLED) ## make the environment in .venv

demo: $(INSTALLED) ## four synthetic hospitals train one model with differential privacy; ends with a report
	$(BIN)/wardround demo

lint: $(INSTALLED) ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# One process more than there are cores: tests of services wait for one another.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
test: lint ## what CI runs first: lint, then the fast tests
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile $(PYTEST_ARGS)

cases: $(INSTALLED) ## small odd inputs, from folders without names to full disks: what was expected, and what became of each
	PYTHONPATH=tests $(BIN)/python -m cases

$(WITH_RAY): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[ray]"
	@touch $@

test-slow: $(WITH_RAY) ## the tests that take longer: real engines, whole runs
	$(BIN)/pytest -m slow -rs --numprocesses 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-deployment: $(INSTALLED) ## coordinator and hospitals as processes, TLS, secure sums: the simulator's model, also after kill -9
	$(BIN)/pytest -m slow -rs --numprocesses 2 tests/simulation/test_deployment.py $(PYTEST_ARGS)

images: ## build both images; RELEASE=1 wants PYTHON_IMAGE=python:3.11-slim@sha256:… and a clean working tree
	bash docker/build.sh

api: $(INSTALLED) ## write docs/api.md, the reference of the package wardround, from its docstrings
	PYTHONPATH=tests $(BIN)/python tests/api_page.py

NOTEBOOKS := .venv/notebooks
notebooks: $(INSTALLED) ## write the notebooks of examples/ and run them, from the built wheel in an environment of its own; minutes
	$(BIN)/python examples/notebooks.py write
	rm -rf $(NOTEBOOKS) build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(NOTEBOOKS)/wheel .
	$(BIN)/python -m venv $(NOTEBOOKS)/env
	$(NOTEBOOKS)/env/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH_PIP_ARGS) "$$(grep '^torch==' constraints.txt)"
	$(NOTEBOOKS)/env/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		"wardround[notebooks] @ file://$$(realpath $(NOTEBOOKS)/wheel/*.whl)"
	cd $(NOTEBOOKS) && env/bin/python ../../examples/notebooks.py run $(NAMES)

bench-doors: $(INSTALLED) ## seconds to import wardround, lines for one's own network, strategy, loss and task, the page under load in Chromium
	$(BIN)/python benchmarks/doors.py

licences: $(INSTALLED) ## write docs/licences.md: what ships in the images, under which licence, and what brings it
	$(BIN)/python docker/licences.py

map: $(INSTALLED) ## write docs/modules.md, the rooms and modules of the code, from their docstrings
	$(BIN)/python tests/module_map.py

gallery: $(INSTALLED) ## run the commands of docs/gallery.md and write its pictures (apt-get install chromium); minutes
	@command -v chromium >/dev/null || { echo "make: pictures of pages need Chromium (Debian: apt-get install chromium)" >&2; exit 1; }
	rm -rf .venv/gallery && mkdir .venv/gallery
	awk '/^```bash/ { on = 1; next } /^```/ { on = 0 } on' docs/gallery.md >.venv/gallery/commands
	cd .venv/gallery && PATH="$(CURDIR)/$(BIN):$$PATH" bash -euo pipefail commands
	$(BIN)/python -c "from pathlib import Path; from PIL import Image; [Image.open(p).convert('RGB').quantize(256, method=Image.Quantize.MAXCOVERAGE).save(Path('docs/gallery', p.name), optimize=True) for p in Path('.venv/gallery').glob('*.png')]"

lock: $(INSTALLED) ## write docker/requirements-*.txt: what the images install, with hashes
	bash docker/lock.sh

protos: $(INSTALLED) ## write the Python of common/wardround_common/control/control.proto
	$(BIN)/python -m grpc_tools.protoc -Icommon --python_out=common --pyi_out=common --grpc_python_out=common \
		common/wardround_common/control/control.proto

sbom: ## write what both images are made of to dist/sbom, as CycloneDX
	bash docker/sbom.sh

release: $(INSTALLED) ## make a release in dist: wheel, requirements, components, provenance, sums; KEY=FILE signs; IMAGES=1 builds the images too
	bash docker/release.sh

WITH_AUDIT := .venv/audit/.installed
$(WITH_AUDIT): $(INSTALLED) docker/requirements-audit.txt
	$(BIN)/python -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r docker/requirements-audit.txt
	@touch $@

audit: $(WITH_AUDIT) ## ask a service which pinned versions have known vulnerabilities (SERVICE=osv: another); needs a network
	.venv/audit/bin/python docker/audit.py $(SERVICE)

test-operations: $(INSTALLED) ## walk the operators' pages and the README's first round by their own lines, with what goes wrong
	$(BIN)/pytest -m "slow or not slow" tests/test_operators_pages.py tests/simulation/test_operations.py tests/simulation/test_readme.py $(PYTEST_ARGS)

.PHONY: test-pacs
test-pacs: $(INSTALLED) ## fetch from an archive and store in it: Orthanc of Debian (apt-get install orthanc orthanc-dicomweb), and wrong ones
	$(BIN)/pytest -m "slow or not slow" -rs tests/client/test_pacs.py tests/client/test_pacs_orthanc.py $(PYTEST_ARGS)

.PHONY: pacs-walk
pacs-walk: needs-hospitals $(INSTALLED) ## fetch, train, predict, store and read back over Orthanc, checked by dciodvfy (DATA=DIR)
	PYTHONPATH=tests $(BIN)/python benchmarks/pacs_walk.py "$(DATA)"

.PHONY: test-pages
test-pages: $(INSTALLED) ## both roles' pages in Chromium of Debian (apt-get install chromium chromium-driver), with axe; SHOTS=DIR keeps pictures
	$(BIN)/pytest -m "slow or not slow" -rs tests/common/test_pages.py tests/client/test_hospital_pages.py tests/server/test_coordinator_pages.py tests/simulation/test_pages_walk.py $(PYTEST_ARGS)

test-faults: $(INSTALLED) ## what hospitals do to a federation: kill -9 at each stage of a round, full disks, cut links, wrong clocks
	$(BIN)/pytest -m "slow or faults" --numprocesses 2 --dist loadfile tests/faults $(PYTEST_ARGS)

soak: $(INSTALLED) ## 50 hospitals over TLS, 100 secure rounds, one in ten dropping out: no wrong sum, no growth; minutes
	FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 PYTHONPATH=tests $(BIN)/python benchmarks/soak.py

containers: $(INSTALLED) ## build both images, wall off a coordinator and four hospitals, train a study while they are killed
	bash docker/try.sh

pre-commit: $(INSTALLED) ## check every commit from now on, with the tools of .venv
	$(BIN)/pre-commit install

check-gpu: $(INSTALLED) ## on a machine with a GPU: the CPU's models, the private step's time and memory, secure sums; some three minutes
	$(BIN)/python benchmarks/gpu.py $(if $(DEVICE),--device "$(DEVICE)")

bench-simulation: $(INSTALLED) ## cost of the simulation over a plain training loop, and its speed-up with two workers
	$(BIN)/python benchmarks/simulation.py

.PHONY: bench-peers
bench-peers: $(WITH_RAY) ## the same federated averaging in a bare loop, in ours, pfl, Flower's Ray engine and NVIDIA FLARE; installs each in .venv/peers
	$(BIN)/python benchmarks/peers.py $(ONLY)

.PHONY: bench-growth
bench-growth: $(INSTALLED) ## how costs grow with hospitals, parameters and images, as curves with exponents; resumes where it stopped (ONLY="images --up-to 10000")
	$(BIN)/python benchmarks/growth.py $(ONLY)

$(WITH_BENCH): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	@touch $@

bench-secagg: $(WITH_BENCH) ## secure aggregation: masks beside Flower's and TenSEAL, a hospital, the coordinator; DATA=DIR: also AUROC
	$(BIN)/python benchmarks/secagg.py $(if $(DATA),"$(DATA)")
	$(BIN)/python benchmarks/he.py

bench-secagg-chance: needs-hospitals $(INSTALLED) ## do secure sums change AUROC, or does any change do? one study trained 20 times (DATA=DIR)
	$(BIN)/python benchmarks/secagg_accuracy.py "$(DATA)" --chance

.PHONY: bench-intervals
bench-intervals: $(INSTALLED) ## how often the intervals of figures hold the truth: from sums, and over patients
	$(BIN)/python benchmarks/intervals.py

audit-privacy: $(INSTALLED) ## a canary audit: a lower bound on epsilon, for an honest claim and a false one
	$(BIN)/python benchmarks/audit_privacy.py

bench-deployment: $(INSTALLED) ## an empty exchange over TLS; a secure round of 11 million parameters, beside Flower's own deployment
	FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 $(BIN)/python benchmarks/deployment.py

bench-dp-step: $(INSTALLED) ## a private step over the plain step: ours, and Opacus' four engines
	$(BIN)/python benchmarks/dp_step.py

private-networks: $(WITH_BENCH) ## what the probe of a network finds in MONAI's, as the table of docs/private-networks.md
	$(BIN)/python benchmarks/private_networks.py

.PHONY: bench-noised
bench-noised: $(INSTALLED) ## what noise in sums over test patients costs in figures, and what is left of an attack
	PYTHONPATH=tests $(BIN)/python benchmarks/noised.py

.PHONY: bench-membership
bench-membership: $(INSTALLED) ## what exact sums over validation patients tell of a patient whose image somebody has
	PYTHONPATH=tests $(BIN)/python benchmarks/membership.py

.PHONY: bench-robust bench-secagg-chance
bench-robust: $(INSTALLED) ## what one lying hospital can do to a model under secure sums, and what stopping it costs
	PYTHONPATH=tests $(BIN)/python benchmarks/robust.py

.PHONY: bench-kernels
bench-kernels: $(INSTALLED) ## what a step asks a card to start, and its bytes there, reckoned without one
	PYTHONPATH=tests $(BIN)/python benchmarks/kernels.py

bench-commands: $(INSTALLED) ## how long people wait for the help, and a container for the health check
	$(BIN)/python benchmarks/commands.py

bench-ledger: $(INSTALLED) ## the hospital's ledger: a charge, and what 100,000 patients spent in 50 studies
	$(BIN)/python benchmarks/ledger.py

bench-brain-mri: needs-hospitals $(INSTALLED) ## federated, pooled and alone on the brain MRI hospitals (DATA=DIR)
	$(BIN)/python benchmarks/brain_mri.py "$(DATA)"

bench-privacy: needs-hospitals $(INSTALLED) ## what privacy costs at epsilon 1, 3 and 8 on the brain MRI hospitals; can be resumed (DATA=DIR)
	$(BIN)/python benchmarks/privacy.py "$(DATA)"

bench-medicine-privacy: needs-hospitals $(INSTALLED) ## what few directions and a prior from made images give under shared noise; long; resumes where it stopped (DATA=DIR)
	$(BIN)/python benchmarks/medicine_privacy.py "$(DATA)"

bench-medicine: needs-hospitals $(INSTALLED) ## boxes, measures against site shift, one image in fifty, grades by patient, made images (DATA=DIR with brain_mri, brain_mri_volumes, chest_xray); long; resumes where it stopped
	$(BIN)/python benchmarks/medicine.py "$(DATA)" --only detection imbalance
	$(BIN)/python benchmarks/medicine_shift.py "$(DATA)"
	$(BIN)/python benchmarks/medicine_patients.py "$(DATA)"
	$(BIN)/python benchmarks/medicine.py "$(DATA)" --only generation

bench-private-recipe: needs-hospitals $(INSTALLED) ## what helps at epsilon 8: averaging, views, rates and steps, momentum, one at a time (DATA=DIR)
	$(BIN)/python benchmarks/private_recipe.py "$(DATA)"

bench-private-features: needs-hospitals $(INSTALLED) ## which fixed features keep their worth under noise, beside those of halves (DATA=DIR)
	$(BIN)/python benchmarks/private_features.py "$(DATA)"

bench-private-choice: needs-hospitals $(INSTALLED) ## choose the recipe of halves under noise, on other seeds than bench-medicine-privacy trains (DATA=DIR)
	$(BIN)/python benchmarks/private_choice.py "$(DATA)"

bench-private-hospitals: $(INSTALLED) ## how the loss to shared noise falls from 3 to 30 made hospitals
	$(BIN)/python benchmarks/private_hospitals.py

bench-chest-xray: needs-hospitals $(INSTALLED) ## the same on the chest X-ray hospitals (DATA=DIR)
	$(BIN)/python benchmarks/chest_xray.py "$(DATA)"

bench-crop: needs-hospitals $(INSTALLED) ## what cutting images to the body gives, as they are stored and in wide frames; resumes where it stopped (DATA=DIR)
	$(BIN)/python benchmarks/crop.py "$(DATA)"

bench-scan: needs-data $(INSTALLED) ## speed of a scan against a bare pydicom loop (DATA=DIR)
	$(BIN)/python benchmarks/scan.py "$(DATA)"

bench-near-copies: $(INSTALLED) ## which near-copies of made ultrasound a scan finds, and what it takes for one (DATA=DIR: also of a folder)
	PYTHONPATH=tests $(BIN)/python benchmarks/near_copies.py $(DATA)

.PHONY: volumes
volumes: needs-hospitals $(INSTALLED) ## series and outlines of several hospitals: taken in, refused, told apart as stated; time over a bare read (DATA=DIR)
	$(BIN)/python benchmarks/volumes.py "$(DATA)"

.PHONY: bench-segmentation
bench-segmentation: needs-hospitals $(INSTALLED) ## outlines: federated, pooled, alone and private; can be resumed (DATA=DIR)
	$(BIN)/python benchmarks/segmentation.py "$(DATA)"

.PHONY: bench-use
bench-use: needs-hospitals $(INSTALLED) ## a model at work: prediction over a plain loop, volumes against reference masks, maps in lesions (DATA=DIR)
	$(BIN)/python benchmarks/use.py "$(DATA)"

touched: $(INSTALLED) ## how many files a new network, strategy, format or task touches
	$(BIN)/python benchmarks/touched.py

dicom-zoo: needs-data $(INSTALLED) ## every odd DICOM file gives the stated pixels or the stated refusal (DATA=DIR)
	$(BIN)/python benchmarks/dicom_zoo.py "$(DATA)"

.PHONY: needs-hospitals
needs-hospitals: needs-data
	@test -n "$$(find -L "$(DATA)" -mindepth 1 -maxdepth 1 -type d ! -name '.*' -print -quit)" || { echo "make: the folder '$(DATA)' holds no hospitals: each of its sub-folders is one, with images and labels" >&2; exit 1; }

needs-data:
	@test -n "$(DATA)" || { echo "make: say where the images are, for instance: make $(MAKECMDGOALS) DATA=path/to/folder" >&2; exit 1; }
	@test -d "$(DATA)" || { echo "make: there is no folder '$(DATA)'" >&2; exit 1; }

clean: ## remove the environment, caches and builds; runs/ and benchmarks/results/ stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find common client server simulation tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
	find common client server simulation -name '*.egg-info' -type d -prune -exec rm -rf {} +
