# SPDX-License-Identifier: GPL-3.0-or-later
# Needs python3 (3.10 or newer; for the tests 3.11), git and make; everything else is set up automatically.

.DEFAULT_GOAL := help
# It could lead to other versions than the environments below pin.
unexport PYTHONPATH
# Each of many processes would compile all of the code again.
unexport PYTHONDONTWRITEBYTECODE
# Ansible refuses to start in a locale that is unknown or not UTF-8.
ifneq ($(shell locale charmap 2>&1),UTF-8)
export LC_ALL := C.UTF-8
endif

PYTHON ?= python3
SITE ?= local
ARGS ?=

##@ For operators and CI; these need only .venv, with what requirements.txt pins

PLAYBOOKS := deploy status logs releases rollback start stop restart remove supervisors recover \
    find_job gitlab_runner rotate_key upgrade_supervisor freeze unfreeze

deploy: ## Deploy JAWS to SITE, and show its status
status: ## Show every program of SITE; fail if one is unhealthy or not running, unless it was stopped on purpose
logs: ## Show the last lines of the logs of SITE, or ARGS='-e programs=NAME -e lines=50 -e since=10m -e follow=true'
releases: ## List the releases of SITE
rollback: ## Go back to the releases before the last deploy, or ARGS='-e release=ID'
start: ## Start the services of SITE
stop: ## Stop the services of SITE
restart: ## Restart the services of SITE
remove: ## Remove what was deployed to SITE
find_job: ## Ask Slurm where the supervisords of SITE run, if it runs them
supervisors: ## Start the supervisords of SITE that are down
recover: ## Start or redeploy everything of SITE after a maintenance
rotate_key: ## Replace the keys of SITE
upgrade_supervisor: ## Restart the supervisords of SITE that run an older Supervisor
freeze: ## Keep SITE from being changed, ARGS='-e reason="WHY"'
unfreeze: ## Let SITE be changed again
gitlab_runner: ## Deploy the gitlab-runner of SITE

play = ANSIBLE_CONFIG="$(CURDIR)/ansible.cfg" .venv/bin/python -m ansible playbook \
    -i inventories/$(SITE) $(ARGS)

$(PLAYBOOKS): .venv
	@$(play) playbooks/$@.yml
	@$(if $(filter deploy,$@),$(play) playbooks/status.yml)

.venv: ## Set up what the playbooks need
	@$(PYTHON) .config/venv.py .venv requirements.txt

##@ For contributors: tests

# If CACHE is given on the command line, its tools must be set up already.

CACHE := .cache
cache := $(if $(filter /%,$(CACHE)),$(CACHE),$(CURDIR)/$(CACHE))
uv := UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=true UV_COMPILE_BYTECODE=1 \
    UV_PROJECT_ENVIRONMENT="$(cache)/tools" "$(cache)/uv/bin/uv"
with := PATH="$(cache)/tools/bin:$(cache)/uv/bin:$(cache)/node/node_modules/.bin:$$PATH"

# The stages of "make test" after lint and unit, the longest first, two at a time because each of
# them waits for a part of its time; to add one, add a word. What only that stage needs follows after
# a colon; if it is missing, the other stages still run. test-molecule runs the scenarios in containers
# (molecule/molecule.mk).
STAGES := integration:integration-requirements test-molecule:molecule-requirements pipeline:node matrix-ends docs drop-in:peer

# Each gate has been seen to fail on a planted defect (make bite). The longest comes first.
GATES := lint-sanity lint-ansible lint-types lint-docs lint-package lint-inventories \
    lint-python lint-oldest-python lint-changelog lint-secrets lint-lock

# The Python code that mypy checks strictly.
TYPED := .collections/ansible_collections/jgi/jaws/plugins tests/unit tests/gates/contract
# Percent of the lines and branches of plugins/ that unit and integration tests must reach.
COVERAGE_FLOOR := 85

# The module that ours replaces.
peer := $(cache)/peer/supervisorctl.py

stages = $(with) python tests/gates/stages.py "$(cache)"
pytest = COVERAGE_FILE="$(cache)/coverage/$@" HYPOTHESIS_STORAGE_DIRECTORY="$(cache)/hypothesis" \
    pytest --cov --cov-report= \
    --junit-xml="$(cache)/reports/$@.xml"

test: tools ## Set up everything and run every test
	@rm -rf "$(cache)/reports" "$(cache)/coverage"
	@$(stages) --together unit $(GATES) --together $(STAGES) --together coverage

lint: tools ## Run every gate that needs no running service
	@$(stages) --together $(GATES)

unit: tools ## Run the unit and contract tests
	@$(with) $(pytest) tests/gates/contract tests/unit $(ARGS)

integration: tools integration-requirements ## Run the tests against a real supervisord
	@# Compiled once, the tests need not be compiled by each of six processes.
	@$(with) pytest --collect-only -qq tests/integration >/dev/null
	@$(with) $(pytest) -n 6 tests/integration $(ARGS)

integration-requirements: ## Install chromium, ssh and systemd-analyze as root on Debian
	@$(PYTHON) .config/commands.py --install chromium ssh systemd-analyze

test-faults: tools ## Set up every fault of docs/reliability.md, and check the behaviour
	@$(with) $(pytest) -n 6 -m fault tests/unit tests/integration $(ARGS)

matrix: tools ## Run the tests with every ansible-core that is promised, each with a Python of this machine
	@$(with) python -m tests.matrix.run "$(cache)"

matrix-ends: tools ## The same, shorter, with only the oldest and the newest
	@$(with) python -m tests.matrix.run "$(cache)" --ends

pipeline: tools node ## Run the jobs of .gitlab-ci.yml by gitlab-ci-local
	@$(with) pytest -n 2 --dist worksteal --junit-xml="$(cache)/reports/$@.xml" tests/pipeline $(ARGS)

coverage: tools ## Compare the coverage of the tests with the floor
	@for stage in unit integration; do test -e "$(cache)/coverage/$$stage" \
	    || { echo "coverage: no data of $$stage: run make $$stage first" >&2; exit 1; }; done
	@cd "$(cache)/coverage" && rm -f all && $(with) coverage combine --keep --quiet \
	    --rcfile="$(CURDIR)/pyproject.toml" --data-file=all unit integration
	@$(with) coverage report --data-file="$(cache)/coverage/all" --fail-under=$(COVERAGE_FLOOR)

drop-in: tools peer ## Compare our module supervisorctl with community.general's, task by task
	@$(with) PEER="$(peer)" $(pytest) tests/peer $(ARGS)

peer: tools ## Fetch community.general.supervisorctl
	@$(with) python .config/peer.py "$(peer)"

docs: tools ## Make the web site of the documentation, build/docs/index.html; a warning is an error
	@$(with) tests/gates/in_copy.sh .config/docs/build.sh "$(CURDIR)/build/docs"

bench: tools ## Measure, and write bench/results.json
	@$(with) python bench/run.py $(ARGS)

bite: tools ## Plant a defect for every gate, and see that the gate fails
	@$(with) GATES_CACHE="$(cache)" pytest -n 2 --dist loadgroup tests/gates/bite/test_gates_bite.py $(ARGS)

##@ For contributors: the gates, one by one

lint-sanity: tools ## ansible-test sanity
	@$(with) tests/gates/in_copy.sh --without tests --without molecule --without bench \
	    "$(CURDIR)/tests/gates/sanity.sh" "$(cache)/home"

lint-ansible: tools ## ansible-lint, profile production
	@$(with) ansible-lint --nocolor --config-file .config/ansible-lint.yml

lint-types: tools ## mypy, strict
	@$(with) mypy --cache-dir="$(cache)/mypy" $(TYPED)

lint-docs: tools ## The documentation of modules, plugins and roles, by antsibull-docs
	@$(with) tests/gates/in_copy.sh antsibull-docs lint-collection-docs --plugin-docs \
	    --skip-rstcheck --validate-collection-refs=all .

lint-package: tools ## Build the collection, install it elsewhere, and use it from there
	@$(with) tests/gates/package.sh

lint-inventories: tools ## Validate every site
	@$(with) tests/gates/in_copy.sh tests/gates/inventories.sh

lint-python: tools ## ruff: check and format
	@$(with) ruff check --cache-dir="$(cache)/ruff"
	@$(with) ruff format --check --cache-dir="$(cache)/ruff"

lint-oldest-python: tools ## Code for targets keeps to Python 3.8, by vermin
	@$(with) vermin --target=3.8- --violations --no-tips --no-parse-comments \
	    plugins/modules plugins/module_utils
	@$(with) vermin --target=3.6- --violations --no-tips --no-parse-comments \
	    plugins/plugin_utils/collabsu_relay.py

lint-changelog: tools ## The changelog's fragments, and that the changelog is made of them
	@$(with) antsibull-changelog lint
	@$(with) antsibull-changelog lint-changelog-yaml changelogs/changelog.yaml
	@$(with) tests/gates/in_copy.sh tests/gates/changelog.sh --check "$(CURDIR)"

lint-secrets: tools ## No secret in git, by detect-secrets
	@$(with) tests/gates/secrets.sh

lint-lock: tools ## The lock files agree
	@$(with) tests/gates/lock.sh

-include molecule/molecule.mk

##@ For contributors: upkeep

format: tools ## Format the Python code, and fix what can be fixed automatically
	@$(with) ruff check --fix
	@$(with) ruff format

lock: tools ## Lock the dependencies of pyproject.toml again
	@$(with) tests/gates/lock.sh --write

changelog: tools ## Put the fragments into CHANGELOG.md under the version of galaxy.yml
	@$(with) tests/gates/in_copy.sh tests/gates/changelog.sh --write "$(CURDIR)"

clean: ## Remove the environments and caches
	@rm -rf .venv .venv.lock .cache

tools: ## Set up what the tests need
ifeq ($(origin CACHE),file)
	@$(PYTHON) .config/venv.py .cache/uv roles/jaws/files/uv.txt
	@test -e .cache/tools/bin/pytest || echo 'Setting up .cache/tools'
	@$(uv) sync --frozen --quiet --python "$(PYTHON)"
endif

node: ## Set up gitlab-ci-local, by npm
ifeq ($(origin CACHE),file)
	@$(PYTHON) .config/node.py .cache/node
endif

help: ## Show this
	@echo 'make TARGET [SITE=local] [ARGS="arguments for ansible-playbook or pytest"]'
	@awk '/^##@ / { print "\n" substr($$0, 5) } \
	    match($$0, /^[a-z.][a-z_.-]*:/) && (at = index($$0, " ## ")) { \
	        printf "  %-24s %s\n", substr($$0, 1, RLENGTH - 1), substr($$0, at + 4) }' $(MAKEFILE_LIST)

.PHONY: $(PLAYBOOKS) $(GATES) .venv test lint unit integration integration-requirements test-faults matrix matrix-ends pipeline coverage docs drop-in peer bench \
    bite format lock changelog clean tools node help
