# SPDX-License-Identifier: GPL-3.0-or-later
# The scenarios' targets, included by the Makefile. `make molecule-cori MOLECULE_COMMAND=converge`
# keeps the host for a look; `... MOLECULE_COMMAND=destroy` ends that.

##@ For contributors: scenarios in containers

MOLECULE_COMMAND ?= test
# They spend part of their time waiting, so more of them run at the same time than there are cores.
MOLECULE_JOBS ?= 4
# The longest ones first, so that the last ones to end are short.
MOLECULE_FIRST := cori lrc slurm runner
MOLECULE_SCENARIOS := $(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml))
MOLECULE_TARGETS := $(addprefix molecule-,$(MOLECULE_FIRST) \
    $(filter-out $(MOLECULE_FIRST),$(MOLECULE_SCENARIOS)))
# Set by test-molecule: each scenario's output goes to a log, and is shown if it fails.
MOLECULE_LOGS ?=

# One process per scenario, because molecule's own workers let scenarios overwrite each other's files.
test-molecule: tools molecule-requirements ## Run every scenario in containers, several at a time
	@$(MAKE) --no-print-directory -j$(MOLECULE_JOBS) --keep-going MOLECULE_LOGS="$(cache)/reports" \
	    $(MOLECULE_TARGETS)

$(MOLECULE_TARGETS): molecule-%: tools molecule-requirements
	@mkdir -p "$(cache)/reports"
	@$(with) MOLECULE_JUNIT_XML="$(cache)/reports/$@.xml" \
	    MOLECULE_LOG="$(and $(MOLECULE_LOGS),$(MOLECULE_LOGS)/$@.log)" \
	    molecule/bin/run $* $(MOLECULE_COMMAND)

molecule-requirements: ## Install podman and the like as root on Debian, or say what is missing
	@molecule/bin/requirements

molecule-clean: ## Remove the containers of this clone, and the images
	@molecule/bin/container clean
	@molecule/bin/engine images --quiet --filter reference=localhost/jgi-jaws-molecule | sort -u \
	  | xargs -r molecule/bin/engine rmi --force

.PHONY: test-molecule molecule-requirements molecule-clean $(MOLECULE_TARGETS)
