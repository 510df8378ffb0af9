# The commands of this project. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help prerequisites setup release demo test up down status lint bench-failover bench-rest bench-sweep simulate mutants bench-start bench-custom-resource build-MasterElection build-UserCreation build-SnapshotBootstrap

LOCAL := target/debug/local
DIALECT := HA

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

prerequisites:
	@local/setup/prerequisites.sh

setup: prerequisites ## Installs what a checkout needs below .local: the emulator, sam, Neo4j from Maven
	@local/setup/venv.sh .local/venv-cloud local/setup/cloud.txt
	@local/setup/venv.sh .local/venv-sam local/setup/sam.txt
	@local/setup/neo4j.sh .local/neo4j-3.4.6 local/neo4j "Neo4j 3.4.6 Enterprise (144 jars, 114 MB)"
	@local/setup/neo4j.sh .local/neo4j-5.26 local/neo4j-5 "Neo4j 5.26 Community (228 jars, 125 MB)"

release: prerequisites ## Builds what is shipped: the functions and the node program
	@cargo build --locked --release -p master-election -p user-creation -p snapshot-bootstrap -p node

$(LOCAL): FORCE
	@cargo build --locked -p local
FORCE:

demo: setup release $(LOCAL) ## Deploys the stack, kills the master, watches the writes move on (DIALECT=CLUSTER too)
	@$(LOCAL) demo --dialect $(DIALECT)

up: setup release $(LOCAL) ## Leaves a cluster running and prints its endpoints
	@$(LOCAL) up

down: $(LOCAL) ## Ends every process of `make up`
	@$(LOCAL) down

status: $(LOCAL) ## Nodes, roles, target groups, health
	@$(LOCAL) status

# Cargo compiles everything before it runs anything: heartbeats are late on a machine that compiles. All at once, because a
# part of the workspace has other features, and is another build.
test: ## Every test, the ones on real clusters too
	@$(MAKE) --no-print-directory --jobs 2 setup release
	@cargo test --locked --workspace

lint: setup ## Formatting, clippy, the template
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- --deny warnings
	@.local/venv-sam/bin/cfn-lint template.yml cluster/*.yml
	@SAM_CLI_TELEMETRY=0 .local/venv-sam/bin/sam validate --lint --region us-east-1

bench-failover: setup release $(LOCAL) ## 30 fail-overs and more beside HAProxy (needs: sudo apt install haproxy); about an hour
	@$(LOCAL) bench-failover

bench-rest: setup release $(LOCAL) ## What is asked of AWS while nothing happens (fails above 300 calls an hour), and what that costs; about 8 minutes
	@$(LOCAL) bench-rest

bench-sweep: ## One sweep over a thousand nodes, every tenth silent
	@cargo run --locked --quiet -p simulator --bin bench-sweep

simulate: ## Ten million simulated rounds; `cargo run -p simulator -- --help` plays one history again
	@cargo run --locked -p simulator

mutants: prerequisites ## Reverses one rule after another (simulator/mutants.txt): the tests must notice each
	@python3 simulator/mutants.py

bench-start: setup release ## Size and start of what is shipped
	@cargo run --locked --quiet -p local --bin bench-start

bench-custom-resource: release ## How soon a bad event of CloudFormation is answered
	@cargo run --locked --quiet -p local --bin bench-custom-resource

# Called by `sam build`, which names the target after the function.
build-MasterElection:
	@cp target/release/master-election "$(ARTIFACTS_DIR)/bootstrap"

build-UserCreation:
	@cp target/release/user-creation "$(ARTIFACTS_DIR)/bootstrap"

build-SnapshotBootstrap:
	@cp target/release/snapshot-bootstrap "$(ARTIFACTS_DIR)/bootstrap"
