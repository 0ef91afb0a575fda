# Set-up, checks, tests and the demo. Nothing here needs Docker.
# Which Python makes .venv: empty takes what local/setup/find-python.sh finds. Set it to choose:
# make setup PYTHON=/path/to/python3.12
PYTHON ?=
BIN := .venv/bin
# The extension in Rust; built with the project where cargo is.
NATIVE := media/native/Cargo.toml media/native/Cargo.lock $(wildcard media/native/src/*.rs)
.DEFAULT_GOAL := help

.PHONY: help setup system demo dashboard test slow chaos updates newest gpu infra lint-infra lab images bases test-images sbom nightly plan check docs fuzz format lock push sign verify release deploy freeze unfreeze test-release

help: ## list what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 16

setup: .venv/.installed system ## make .venv with the vigil command, and install what the demo needs

# Hash-checked packages, then the project itself. Again only when the lists or the extension changed.
.venv/.installed: requirements/dev.txt pyproject.toml local/setup/python.sh local/setup/find-python.sh $(NATIVE)
	@PYTHON="$(PYTHON)" bash local/setup/python.sh

system:
	@bash local/setup/system.sh
	@bash local/setup/promtool.sh

demo: setup ## run everything: cameras, edge, cloud side, dashboard (Ctrl-C stops it)
	@exec $(BIN)/vigil demo

dashboard: setup ## build the page, where its sources have changed (the demo does it by itself)
	@$(BIN)/python -m local.dashboard

test: setup ## run the tests: unit, integration, and from the camera to playback
	@bash local/setup/test.sh

slow: setup ## run the slow tests: kills, outages, long runs
	@bash local/setup/test.sh slow

chaos: setup ## run the minute of chaos in which tables are lost too
	$(BIN)/python -m pytest -q -m chaos

updates: setup ## cut the power of a device's update at each step, and update a fleet of 20
	$(BIN)/python -m pytest -q -m updates tests/integration/test_update_agent.py tests/endurance/test_fleet_rollout.py

newest: .venv/.installed ## run the unit tests on the newest Python that is installed
	@bash local/setup/newest.sh

gpu: ## test and measure local inference on this machine's NVIDIA GPU
	@PYTHON="$(PYTHON)" bash local/setup/gpu.sh

infra: setup ## test the infrastructure: Terraform against substitutes of AWS, the charts
	@bash local/setup/infra.sh
	$(BIN)/python -m pytest -q -m infra --numprocesses 2 --dist loadfile tests/infra

lint-infra: setup ## let Checkov and tflint read Terraform and the charts
	@bash local/setup/lint.sh
	$(BIN)/python -m pytest -q -m infra tests/infra/test_scanners.py

lab: setup ## try a site in namespaces: a device by Ansible, its recorder, its VPN with cuts (root)
	@bash local/setup/packages.sh buildah podman runc mmdebstrap catatonit openssh-client nftables cryptsetup-bin fdisk e2fsprogs strongswan-swanctl charon-systemd libstrongswan-standard-plugins libstrongswan-extra-plugins libcharon-extra-plugins
	@$(MAKE) images BASES=debian IMAGES=vigil-edge-cpu
	$(BIN)/python -m pytest -q -s -m lab tests/lab

vm: setup ## install systems in a virtual machine, with bad ones and cuts of power (root)
	@bash local/setup/packages.sh qemu-system-x86 qemu-utils ovmf swtpm swtpm-tools mmdebstrap rauc squashfs-tools mtools dosfstools fdisk e2fsprogs grub-common openssh-client
	$(BIN)/python -m pytest -q -s -m vm tests/vm --timeout 1800

edge-image: .venv/.installed ## build the golden image of a device with Packer: make edge-image VERSION=2026.11.30 KEYRING=ca.pem
	PATH="$(CURDIR)/$(BIN):$$PATH" bash ops/edge/image/build.sh "$(VERSION)" "$(KEYRING)"

bundle: ## sign a slot as a bundle: make bundle SLOT=slot.ext4 VERSION=2026.11.30 CERT=… KEY=… OUT=…
	@bash ops/edge/image/bundle.sh "$(SLOT)" "$(VERSION)" "$(CERT)" "$(KEY)" "$(OUT)"

# BASES=debian makes the bases here, from Debian's packages; IMAGES names some images; TAG their tag.
images: .venv/.installed ## build the container images: make images [BASES=debian] [IMAGES="..."] [GPU=1]
	@BASES="$(BASES)" bash local/setup/images.sh
	BASES="$(BASES)" TAG="$(TAG)" $(BIN)/python -m local.images build $(if $(GPU),--gpu) $(IMAGES)

sbom: .venv/.installed ## write what is in the built images: build/images/NAME.cdx.json (make images does it too)
	BASES="$(BASES)" TAG="$(TAG)" $(BIN)/python -m local.images sbom $(if $(GPU),--gpu) $(IMAGES)

bases: .venv/.installed ## write today's digests of the base images into the Dockerfiles
	$(BIN)/python -m local.images bases

test-images: setup ## run the product from its images alone, hardened (after make images)
	@bash local/setup/infra.sh
	BASES="$(BASES)" TAG="$(TAG)" $(BIN)/python -m pytest -q -m images tests/images

# 10 GB and 25 GB of disk, an hour each on a busy machine. In pieces: --data DIR --for-s 300, again.
.PHONY: spool-long
spool-long: .venv/.installed ## three days of 32 cameras without a cloud, by count; then 20 GB of real bytes
	$(BIN)/vigil bench autonomy --hours 72 --fits-hours 60 --no-sync | tee /dev/stderr | grep -q '"clean": true'
	$(BIN)/vigil bench autonomy --hours 0.35 --bytes 2000000 --drain | tee /dev/stderr | grep -q '"clean": true'

nightly: setup ## run what is too heavy for CI, one after the other: make nightly [ONLY=chaos]
	$(BIN)/python -m checks.nightly run $(ONLY)

# What production applies is this plan, after a person has read it: docs/how-to/install.md.
plan: setup ## plan a root of Terraform: make plan ENV=dev ROOT=network
	@KEEP="$(KEEP)" bash terraform/plan.sh "$(ENV)" "$(ROOT)"

apply: .venv/.installed ## apply an approved plan: make apply ENV=dev ROOT=network PLAN=hash
	@bash terraform/apply.sh "$(ENV)" "$(ROOT)" "$(PLAN)"

drift: ## see whether AWS differs from this commit: make drift ENV=dev ROOT=network
	@bash terraform/drift.sh "$(ENV)" "$(ROOT)"

drift-report: ## send what make drift found as a metric
	@bash terraform/drift.sh "$(ENV)" "$(ROOT)" report

.PHONY: cluster values
cluster: setup ## test the charts on a Kubernetes control plane of this machine
	@bash ops/cluster/build.sh >/dev/null
	$(BIN)/python -m pytest -q -m cluster tests/cluster

values: .venv/.installed ## print the chart's values that Terraform knows: make values ENV=dev
	@$(BIN)/python helm/addresses.py "$(ENV)"

check: .venv/.installed ## lint, format, types, import rules, vocabulary, Rust, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m checks.vocabulary
	$(BIN)/python -m checks.api
	$(BIN)/python -m checks.nightly
	$(BIN)/python -m checks.slo
	$(BIN)/python -m checks.licences
	$(BIN)/python -m checks.release
	$(BIN)/python -m checks.terraform_docs

docs: .venv/.installed ## write what is generated from the code: the API's reference and types
	$(BIN)/python -m checks.api --write
	$(BIN)/python -m checks.slo --write
	$(BIN)/python -m checks.licences --write
	$(BIN)/python -m checks.terraform_docs --write

fuzz: setup ## ask the API for an hour what its document allows and forbids (VIGIL_FUZZ_MINUTES)
	@bash local/setup/fuzz.sh

format: .venv/.installed ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/.installed ## renew requirements/ from pyproject.toml, for all Pythons that fit
	@bash local/setup/lock.sh

# What follows takes a release from images to production: docs/design/delivery-pipeline.md. It needs no
# virtual environment. KEY: a file, or awskms:///ARN. Each value can be a variable of the environment.
export REGISTRY IMAGE_STORE TAG KEY BUILDER BUCKET ENV DIGEST REASON SMOKE_URL
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vigil/tools
PYTHON3 := $(or $(wildcard $(BIN)/python),python3)

.PHONY: vm edge-image bundle apply drift drift-report licences version release-check scan

push: ## push the built images to REGISTRY and write the record of the release
	@$(PYTHON3) -m deploy.push

sign: ## sign the release with KEY: images, SBOMs, provenance, record
	@bash local/setup/release.sh
	@$(PYTHON3) -m deploy.signatures sign

verify: ## verify the release with KEY (and BUILDER, the workflow that must have built it)
	@$(PYTHON3) -m deploy.signatures verify

release: ## announce the signed release in BUCKET: the pipeline installs it
	@$(PYTHON3) -m deploy.announce

deploy: ## install a release: make deploy ENV=staging DIGEST=sha256:… KEY=cosign.pub
	@$(PYTHON3) -m deploy.install

freeze: ## let no release into an environment: make freeze ENV=production REASON="…"
	@$(PYTHON3) -m deploy.freeze freeze

unfreeze: ## let releases in again: make unfreeze ENV=production
	@$(PYTHON3) -m deploy.freeze unfreeze

licences: .venv/.installed ## check the licences of packages, and of the SBOMs that make images wrote
	$(BIN)/python -m checks.licences $(wildcard build/images/*.cdx.json)

version: ## write a version everywhere: make version VERSION=1.2.0
	@$(PYTHON3) -m checks.release --set "$(VERSION)"

release-check: .venv/.installed ## see whether a tag can be released: make release-check VERSION=v1.2.0
	@$(BIN)/python -m checks.release "$(VERSION)"
	@$(BIN)/python -m checks.nightly --strict

scan: ## look up known weaknesses in the SBOMs (needs the network: grype's database)
	@bash local/setup/release.sh scan
	@for sbom in build/images/*.cdx.json; do PATH="$(TOOLS):$$PATH" grype --fail-on high "sbom:$$sbom" || exit 1; done

test-release: setup ## sign a release and verify it with cosign, against a registry of this machine
	@bash local/setup/release.sh test
	$(BIN)/python -m pytest -q -m infra tests/infra/test_signatures.py
