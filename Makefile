# The commands of this project. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help prerequisites deploy-prerequisites tools setup release release-arm64 package demo test test-fencing up down status lint bench-failover bench-rest bench-formation bench-sweep simulate mutants bench-start bench-custom-resource image image-base image-root push test-image

LOCAL := target/debug/local
DIALECT := HA

# What is shipped: the functions, and the program beside each Neo4j. The tests and benchmarks read this line.
SHIPPED := master-election user-creation snapshot-bootstrap backup-trigger node
# What runs here is built for this machine; `sam build` builds for the template's Architecture.
ARCHITECTURE := $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)
TARGET_x86_64 := x86_64-unknown-linux-gnu
TARGET_arm64 := aarch64-unknown-linux-gnu
# The C library of Amazon Linux 2023, which provided.al2023 is made from: Zig links against this one, whatever this machine has.
GLIBC := 2.34
# How an ELF header names the machine.
MACHINE_x86_64 := 62
MACHINE_arm64 := 183
# A test may call `sam build`: ring is compiled again, and all that uses it, when a variable of the test's own package is set.
unexport $(filter CARGO_MANIFEST_% CARGO_PKG_% OUT_DIR,$(.VARIABLES))
# One invocation for all that is shipped: it knows what is stale, so nothing stale can be deployed.
COMPILE = PATH="$(CURDIR)/.local/venv-build/bin:$$PATH" cargo lambda build --locked --release \
	$(SHIPPED:%=-p %) --target $(TARGET_$(ARCHITECTURE)).$(GLIBC) --lambda-dir target/lambda

help: ## This list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 24

prerequisites:
	@local/setup/prerequisites.sh cloud

deploy-prerequisites: ## Says what is missing to deploy on AWS: Rust, cargo-lambda, sam
	@local/setup/prerequisites.sh deploy

tools: prerequisites
	@local/setup/venv.sh .local/venv-build local/setup/build.txt

setup: tools ## Installs what a checkout needs below .local: cargo-lambda, the emulator, sam, Neo4j from Maven
	@local/setup/venv.sh .local/venv-cloud local/setup/cloud.txt
	@local/setup/venv.sh .local/venv-sam local/setup/sam.txt
	@local/setup/neo4j.sh .local/neo4j-3.4.6 local/neo4j "Neo4j 3.4.6 Enterprise (144 jars, 114 MB)"
	@local/setup/neo4j.sh .local/neo4j-5.26 local/neo4j-5 "Neo4j 5.26 Community (228 jars, 125 MB)"

release: tools ## Builds what is shipped: the functions and the node program
	@$(COMPILE)

release-arm64: ARCHITECTURE := arm64
release-arm64: tools ## The same for arm64 (Graviton); the next `make release` puts this machine's back
	@$(COMPILE)

# What `make image` builds with and from. BASE and NEO4J are those of the Dockerfile unless they are given.
IMAGE_BUILDER := $(shell command -v docker || command -v buildah)
IMAGE_TAG := neo4j-cluster:$(shell git describe --always --dirty --abbrev=12 --exclude="*" 2>/dev/null || echo unknown)
# Each plugin is a URL or Maven coordinates, with its SHA-256; this APOC was built against Neo4j 3.4.5, and the next one against 3.4.7.
PLUGINS := org.neo4j.procedure:apoc:3.4.0.2\#44b07fe68bdc9287a3c75ae21e2f30536cb68fc2b670c3ab8350f205c5400cc2
IMAGE_PLATFORM_x86_64 := linux/amd64
IMAGE_PLATFORM_arm64 := linux/arm64
# Without an engine buildah keeps images as plain folders, and needs no privileges that a container lacks.
BUILDAH := DOCKER_BUILDKIT=1 STORAGE_DRIVER=$${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=$${BUILDAH_ISOLATION:-chroot}

image: ## The image of the nodes (docker or buildah; BASE=..., NEO4J=..., PLUGINS="URL#SHA256 ..." choose what is in it)
	@$(if $(IMAGE_BUILDER),,echo "missing: docker or buildah. Run: sudo apt install buildah" >&2; exit 1)
	@local/setup/prerequisites.sh build
	@$(COMPILE)
	@cluster/image/plugins.sh .local/image/plugins $(foreach plugin,$(PLUGINS),'$(plugin)')
	@install -m 755 target/lambda/node/bootstrap .local/image/node
	@$(BUILDAH) $(IMAGE_BUILDER) build --quiet --platform $(IMAGE_PLATFORM_$(ARCHITECTURE)) --file cluster/Dockerfile --tag $(IMAGE_TAG) \
		$(if $(findstring buildah,$(IMAGE_BUILDER)),--format docker) $(BASE:%=--build-arg BASE=%) $(NEO4J:%=--build-arg NEO4J=%) $(NEO4J_PLATFORM:%=--build-arg NEO4J_PLATFORM=%) \
		--build-arg REVISION=$(word 2,$(subst :, ,$(IMAGE_TAG))) .local/image
	@echo "built $(IMAGE_TAG) for $(ARCHITECTURE)"

# Another name than the product's, so that it is never pushed as one.
TEST_IMAGE_TAG := neo4j-cluster-test:latest
# What the Dockerfile takes from registries, made from Debian's packages and Maven's jars.
image-base: setup
	@local/setup/image-base.sh .local/image-base .local/neo4j-3.4.6

image-root: image-base ## Builds the image on packages of this machine and unpacks it, for `make demo IMAGE=built` (root, buildah, debootstrap, runc)
	@$(MAKE) --no-print-directory image IMAGE_BUILDER=buildah IMAGE_TAG=$(TEST_IMAGE_TAG) BASE=localhost/java NEO4J=localhost/neo4j \
		NEO4J_PLATFORM=$(IMAGE_PLATFORM_$(ARCHITECTURE))
	@$(BUILDAH) local/setup/image-root.sh $(TEST_IMAGE_TAG) .local/image-root

test-image: image-root ## Neo4j from the built image, in namespaces of its own; about 3 minutes
	@cargo test --locked --workspace --test image -- --ignored --test-threads 1

push: ## Pushes the image to NEO_ECR_REPO in NEO_AWS_REGION, and prints the value of the parameter Image
	@$(BUILDAH) cluster/image/push.sh $(IMAGE_BUILDER) $(IMAGE_TAG)

package: setup release ## What `sam deploy` would upload to the local cloud
	@SAM_CLI_TELEMETRY=0 .local/venv-sam/bin/sam build --config-env local --parameter-overrides Architecture=$(ARCHITECTURE)

$(LOCAL): FORCE
	@cargo build --locked -p local
FORCE:

# Three things at once: one waits for the network, and another one links the last of its binaries with one processor.
demo: prerequisites ## Deploys the stack, kills the master, watches the writes move on (DIALECT=CLUSTER too, IMAGE=built from the image)
	@$(MAKE) --no-print-directory --jobs 3 setup release $(LOCAL)
	@$(if $(filter built,$(IMAGE)),$(MAKE) --no-print-directory image-root)
	@$(LOCAL) demo --dialect $(DIALECT) $(if $(filter built,$(IMAGE)),--nodes image)

up: setup release $(LOCAL) ## Leaves a cluster running and prints its endpoints
	@$(LOCAL) up

down: $(LOCAL) ## Ends every process of `make up`
	@$(LOCAL) down

status: $(LOCAL) ## Nodes, roles, target groups, health
	@$(LOCAL) status

# Cargo compiles everything before it runs anything: heartbeats are late on a machine that compiles. All at once, because a
# part of the workspace has other features, and is another build.
test: ## Every test, the ones on real clusters too, but for test-fencing and test-image
	@$(MAKE) --no-print-directory --jobs 2 setup release
	@$(MAKE) --no-print-directory package
	@cargo test --locked --workspace

test-fencing: package ## Fences of nodes that wake up, and of one whose agent ignores them, on a real cluster; about 6 minutes
	@cargo test --locked --workspace --test cluster -- --ignored

lint: setup ## Formatting, clippy, the template
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- --deny warnings
	@.local/venv-sam/bin/cfn-lint template.yml cluster/*.yml
	@local/setup/venv.sh .local/venv-lint local/setup/lint.txt
	@.local/venv-lint/bin/hadolint cluster/Dockerfile
	@SAM_CLI_TELEMETRY=0 .local/venv-sam/bin/sam validate --lint --region us-east-1

bench-failover: setup release $(LOCAL) ## 30 fail-overs and more beside HAProxy (needs: sudo apt install haproxy); about an hour
	@$(LOCAL) bench-failover

bench-rest: setup release $(LOCAL) ## What is asked of AWS while nothing happens (fails above 320 calls an hour), and what that costs; about 9 minutes
	@$(LOCAL) bench-rest

bench-formation: setup release $(LOCAL) ## Ten formations from blank volumes: no node ends, and each slave has its backup server; about 7 minutes
	@$(LOCAL) bench-formation

bench-sweep: ## One sweep over a thousand nodes, every tenth silent
	@cargo run --locked --quiet -p simulator --bin bench-sweep

simulate: ## Ten million simulated rounds, and a million ticks of backups; `cargo run -p simulator -- --help` plays one history again
	@cargo run --locked -p simulator

mutants: prerequisites ## Reverses one rule after another (simulator/mutants.txt): the tests must notice each
	@python3 simulator/mutants.py

bench-start: setup release ## Size and start of what is shipped
	@cargo run --locked --quiet -p local --bin bench-start

bench-custom-resource: release ## How soon a bad event of CloudFormation is answered
	@cargo run --locked --quiet -p local --bin bench-custom-resource

# Called by `sam build`: build-MasterElection builds all that is shipped and hands over target/lambda/master-election.
# sam gives no architecture to make; build.toml has what the template and all overrides come to.
build-%: ARCHITECTURE = $(shell sed -n 's/^architecture = "\(.*\)"$$/\1/p' "$(ARTIFACTS_DIR)/../../build.toml" 2>/dev/null | sort -u)
build-%: NAME = $(shell echo $* | sed -E 's/([a-z])([A-Z])/\1-\2/g' | tr A-Z a-z)
build-%:
	$(if $(filter $(NAME),$(SHIPPED)),,$(error $(NAME) is not in SHIPPED))
	$(if $(TARGET_$(ARCHITECTURE)),,$(error build-$* is for `sam build` of the whole template, with one Architecture for all: "$(ARCHITECTURE)"))
	@local/setup/prerequisites.sh build
	@$(COMPILE) 2>&1
	@cp target/lambda/$(NAME)/bootstrap "$(ARTIFACTS_DIR)/bootstrap"
	@od -An -tu1 -j18 -N1 "$(ARTIFACTS_DIR)/bootstrap" | grep -qw $(MACHINE_$(ARCHITECTURE)) || \
		{ echo "$(NAME) is not for $(ARCHITECTURE): another build ran beside this one; build again" >&2; exit 1; }
