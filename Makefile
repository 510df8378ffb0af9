# The commands of this project. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help prerequisites setup release demo test up down status lint bench-failover bench-sweep simulate mutants bench-start build-MasterElection

LOCAL := target/debug/local
DIALECT := HA

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

prerequisites:
	@local/setup/prerequisites.sh

setup: prerequisites ## Installs what a checkout needs below .local: the emulator, sam, Neo4j from Maven
	@local/setup/venv.sh .local/venv-cloud local/setup/cloud.txt
	@local/setup/venv.sh .local/venv-sam local/setup/sam.txt
	@local/neo4j/build.sh .local/neo4j-3.4.6

release: prerequisites ## Builds what is shipped: the function and the node program
	@cargo build --locked --release -p master-election -p node

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

# Everything is compiled before a cluster runs: heartbeats are late on a machine that compiles.
test: setup release ## Every test, the ones on a real cluster last
	@cargo test --locked --workspace --no-run
	@cargo test --locked --workspace --exclude end-to-end
	@cargo test --locked -p end-to-end

lint: setup ## Formatting, clippy, the template
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- --deny warnings
	@.local/venv-sam/bin/cfn-lint template.yml cluster/*.yml
	@SAM_CLI_TELEMETRY=0 .local/venv-sam/bin/sam validate --lint --region us-east-1

bench-failover: setup release $(LOCAL) ## 15 kills and 15 freezes beside HAProxy (needs: sudo apt install haproxy); about 20 minutes
	@$(LOCAL) bench-failover

bench-sweep: ## One sweep over a thousand nodes, every tenth silent
	@cargo run --locked --quiet -p simulator --bin bench-sweep

simulate: ## Ten million simulated rounds; `cargo run -p simulator -- --help` plays one history again
	@cargo run --locked -p simulator

mutants: prerequisites ## Reverses fourteen rules, one after another: the tests must notice each
	@python3 simulator/mutants.py

bench-start: setup release ## Size and start of what is shipped
	@cargo run --locked --quiet -p local --bin bench-start

# Called by `sam build`, which names the target after the function.
build-MasterElection:
	@cp target/release/master-election "$(ARTIFACTS_DIR)/bootstrap"
