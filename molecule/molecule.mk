# SPDX-License-Identifier: GPL-3.0-or-later
# The scenarios' targets, included by the Makefile. `make molecule-cori MOLECULE_COMMAND=converge`
# keeps the host for a look; `... MOLECULE_COMMAND=destroy` ends that.

MOLECULE_COMMAND ?= test
MOLECULE_SCENARIOS := $(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml))
MOLECULE_TARGETS := $(addprefix molecule-,$(MOLECULE_SCENARIOS))

# One process a scenario: molecule's own workers let scenarios overwrite each other's files.
test-molecule: tools molecule-requirements ## Run every scenario in containers, two at a time
	@$(MAKE) --no-print-directory -j2 --output-sync=target --keep-going $(MOLECULE_TARGETS)

$(MOLECULE_TARGETS): molecule-%: tools molecule-requirements
	@mkdir -p "$(cache)/reports"
	@$(with) MOLECULE_JUNIT_XML="$(cache)/reports/$@.xml" molecule/bin/run $* $(MOLECULE_COMMAND)

molecule-requirements: ## Install podman and the like as root on Debian, or say what is missing
	@molecule/bin/requirements

molecule-clean: ## Remove the containers of this clone, and the images
	@molecule/bin/container list | xargs -r molecule/bin/engine rm --force --volumes
	@molecule/bin/engine images --quiet --filter reference=localhost/jgi-jaws-molecule | sort -u \
	  | xargs -r molecule/bin/engine rmi --force

.PHONY: test-molecule molecule-requirements molecule-clean $(MOLECULE_TARGETS)
