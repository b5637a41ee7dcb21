# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names are typing errors of our names, and which belong to others."""

from __future__ import annotations

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils.inventory import read_spec
from ansible_collections.jgi.jaws.plugins.plugin_utils.spelling import misspelt, there_is_no

KNOWN = frozenset(read_spec().known)

# Other variables that people have in an inventory.
FOREIGN = """
vault_become_password site_name gitlab_runner_coordinator_url boot_disk
site_url site_domain site_owner site_timezone site_dns_servers site_admin_email site_region
site_db_port site_log_dir site_htc_user site_htc_group site_ntp_servers site_git_url
vault_ssh_key vault_token vault_addr vault_db_password vault_root_password vault_ldap_password
vault_htc_db_password vault_smtp_password vault_slack_token
boot_loader boot_order boot_mode boot_timeout boot_partition boot_args
purge_logs purge_packages purge_old_kernels purge_cache purge_interval
deployment_id deployment_user deployment_date deployment_environment deployment_stage
supervisord_version supervisord_service gitlab_runner_version gitlab_runner_tags
gitlab_runner_registration_token gitlab_runner_user jaws_contact jaws_team
"""


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_character_that_is_missing_doubled_or_swapped_is_found(name: str) -> None:
    for at in range(len(name)):
        deleted = name[:at] + name[at + 1 :]
        doubled = name[:at] + name[at] + name[at:]
        swapped = name[:at] + name[at + 1 : at + 2] + name[at] + name[at + 2 :]
        for typed in {deleted, doubled, swapped} - KNOWN:
            assert misspelt(typed, {name}) == name, typed


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("jaws_wheel", "jaws_wheels"),
        ("site_rqm_host", "site_rmq_host"),
        ("jaws_helth_timout", "jaws_health_timeout"),
        ("deployement_log_levl", "deployment_log_level"),
        ("SITE_ROOT", "site_root"),
        ("site-root", "site_root"),
        ("vault_site_db_passwrd", "vault_site_db_password"),
    ],
)
def test_the_name_that_was_meant_is_the_nearest(typed: str, meant: str) -> None:
    assert misspelt(typed, KNOWN) == meant


@pytest.mark.parametrize("name", FOREIGN.split())
def test_a_name_that_was_chosen_on_purpose_is_not_a_typing_error(name: str) -> None:
    assert misspelt(name, KNOWN) == ""


def test_a_sentence_names_the_most_similar_name_or_else_all_names() -> None:
    known = {"site.conf", "central.conf"}
    assert there_is_no("file", "sit.conf", known) == (
        "there is no file sit.conf; did you mean site.conf?"
    )
    assert there_is_no("file", "xyz", known) == (
        "there is no file xyz; there are central.conf, site.conf."
    )
