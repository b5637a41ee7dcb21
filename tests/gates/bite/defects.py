# SPDX-License-Identifier: GPL-3.0-or-later
"""Defects, each for one gate, to plant in the small collection beside this file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    """A change to one file, and what the gate must say of it.

    Where `old` is empty, `new` is appended, to a new file if there is none; where `new` is None,
    the file or directory goes. Otherwise `old` must be there, and all of it is replaced.
    """

    gate: str
    name: str
    file: str
    old: str
    new: str | None
    says: str


MODULE = "plugins/modules/greeting.py"
UTILITY = "plugins/module_utils/words.py"
SPEC = "roles/greeter/meta/argument_specs.yml"
TASKS = "roles/greeter/tasks/write.yml"
UNIT = "tests/unit/test_words.py"
SITE = "inventories/here/group_vars/all/site.yml"

# Written in pieces, so that nobody's scanner takes them for real.
TOKEN = "glpat" + "-" + "x7Kq2mVb9TzR4wLc8NpY"
PRIVATE_KEY = "-----BEGIN RSA " + "PRIVATE KEY-----"
PASSWORD = "pass" + "word: correct-horse-battery-staple\n"

PASSWORD_OPTION = """\
            loud=dict(type="bool", default=False),
            password=dict(type="str"),
"""
PASSWORD_DOCUMENTED = """\
    default: false
  password:
    description: The password.
    type: str
"""

SPDX = "# SPDX-License-Identifier: GPL-3.0-or-later\n"

GATES = [
    Defect(
        "lint-sanity",
        "a default documented otherwise than declared",
        MODULE,
        "    default: false\n",
        "    default: true\n",
        "doc-default-does-not-match-spec",
    ),
    Defect(
        "lint-sanity",
        "check mode claimed but not supported",
        MODULE,
        "supports_check_mode=True",
        "supports_check_mode=False",
        "attributes-check-mode",
    ),
    Defect(
        "lint-sanity",
        "an option that is declared but not documented",
        MODULE,
        '            loud=dict(type="bool", default=False),\n',
        PASSWORD_OPTION,
        "undocumented-parameter",
    ),
    Defect(
        "lint-sanity",
        "a password that is logged",
        MODULE,
        'loud=dict(type="bool", default=False)',
        'loud=dict(type="bool", default=False), password=dict(type="str")',
        "no-log-needed",
    ),
    Defect(
        "lint-sanity",
        "a module that imports what targets do not have",
        UTILITY,
        "from __future__ import annotations\n",
        "from __future__ import annotations\n\nimport requests\n",
        "ModuleNotFoundError",
    ),
    Defect(
        "lint-ansible",
        "a misspelt option of a module",
        TASKS,
        "    loud:",
        "    lowd:",
        "args[module]",
    ),
    Defect(
        "lint-ansible",
        "a file without a mode",
        TASKS,
        '    mode: "{{ __greeter_mode }}"\n',
        "",
        "risky-file-permissions",
    ),
    Defect(
        "lint-ansible",
        "a task whose name does not say its file",
        TASKS,
        "write | Find",
        "Find",
        "name[prefix]",
    ),
    Defect(
        "lint-ansible",
        "a role variable without the role's name",
        "roles/greeter/defaults/main.yml",
        "",
        "loudness: 1\n",
        "var-naming[no-role-prefix]",
    ),
    Defect(
        "lint-ansible",
        "an unknown key in galaxy.yml",
        "galaxy.yml",
        "",
        "licence_of_mind: none\n",
        "schema[galaxy]",
    ),
    Defect(
        "lint-types",
        "a test that passes the wrong type",
        UNIT,
        'greet("world", loud=False)',
        "greet(1, loud=False)",
        "[arg-type]",
    ),
    Defect(
        "lint-types",
        "a module that passes the wrong type",
        UTILITY,
        "    return greeting\n",
        "    return loud\n",
        "[return-value]",
    ),
    Defect(
        "lint-docs",
        "a reference to a module that does not exist",
        SPEC,
        "description: Writes a greeting into a file.",
        "description: Writes a greeting, see M(jgi.jaws.letter).",
        "there is no module jgi.jaws.letter",
    ),
    Defect(
        "lint-docs",
        "a reference to an option that does not exist",
        MODULE,
        "description: Whether to shout.",
        "description: Whether to shout at O(whom).",
        "option name does not reference to an existing option",
    ),
    Defect(
        "lint-package",
        "a file left out of the package that only a role needs",
        "galaxy.yml",
        "build_ignore:\n",
        'build_ignore:\n  - "*.j2"\n',
        "missing from the package: roles/greeter/templates/greeting.j2",
    ),
    Defect(
        "lint-package",
        "a file in the package that git ignores",
        "plugins/left.egg-info/over",
        "",
        "from a build\n",
        "in the package, but not in git: plugins/left.egg-info/over",
    ),
    Defect(
        "lint-package",
        "a module that cannot be imported",
        MODULE,
        "module_utils.words import greet",
        "module_utils.letters import greet",
        "No module named 'ansible_collections.jgi.jaws.plugins.module_utils.letters'",
    ),
    Defect(
        "lint-package",
        "a playbook with a role that is not there",
        "playbooks/deploy.yml",
        "name: jgi.jaws.greeter",
        "name: jgi.jaws.writer",
        "the role 'jgi.jaws.writer' was not found",
    ),
    Defect(
        "lint-package",
        "no module at all",
        MODULE,
        "",
        None,
        "the package has no module",
    ),
    Defect(
        "lint-inventories",
        "a misspelt fact of a site",
        SITE,
        "site_greeting_file",
        "site_greting_file",
        "Validate the inventory",
    ),
    Defect(
        "lint-inventories",
        "an inventory that is not YAML",
        "inventories/here/hosts.yml",
        "all:\n",
        "all: [\n",
        "Failed to parse inventory",
    ),
    Defect(
        "lint-inventories",
        "a playbook that validates nothing",
        "playbooks/deploy.yml",
        "tags: [inventory]",
        "tags: [other]",
        "nothing was validated",
    ),
    Defect("lint-python", "an unused import", UNIT, "", "\n\nimport os\n", "F401"),
    Defect(
        "lint-python",
        "a file that is not formatted",
        UNIT,
        'greet("world", loud=True)',
        "greet('world', loud=True)",
        "1 file would be reformatted",
    ),
    Defect(
        "lint-python",
        "syntax that targets cannot read",
        UTILITY,
        "    if loud:\n        return greeting.upper()\n",
        "    match loud:\n        case True:\n            return greeting.upper()\n",
        "Cannot use `match` statement on Python 3.8",
    ),
    Defect(
        "lint-oldest-python",
        "a method that the targets' Python does not have",
        UTILITY,
        'f"Hello {name}"',
        'f"Hello {name}".removesuffix("!")',
        "'str.removesuffix' member requires !2, 3.9",
    ),
    Defect(
        "lint-changelog",
        "a fragment in a section that does not exist",
        "changelogs/fragments/2-new.yml",
        "",
        SPDX + "---\nnovelties:\n  - Something.\n",
        "invalid section: novelties",
    ),
    Defect(
        "lint-secrets",
        "a token in a test",
        UNIT,
        "",
        f'\n\nTOKEN = "{TOKEN}"\n',
        "GitLab Token",
    ),
    Defect(
        "lint-secrets",
        "a private key in a document",
        "README.md",
        "",
        f"\n{PRIVATE_KEY}\n",
        "Private Key",
    ),
    Defect("lint-secrets", "a password of a site", SITE, "", PASSWORD, "Secret Keyword"),
    Defect(
        "lint-lock",
        "a dependency that is not locked",
        "pyproject.toml",
        '  "setuptools",\n',
        '  "setuptools",\n  "six",\n',
        "The lockfile at `uv.lock` needs to be updated",
    ),
    Defect(
        "lint-lock",
        "a pinned version that is not the locked one",
        "requirements.txt",
        "jinja2==",
        "jinja2==0.",
        "make lock",
    ),
    Defect(
        "lint-lock",
        "a lock file that names a place on this machine",
        "uv.lock",
        "https://files.pythonhosted.org/packages/",
        "https://mirror.example/packages/",
        "a place that others do not reach",
    ),
    Defect(
        "lint-lock",
        "a lock file of npm that names a place on this machine",
        ".config/node/package-lock.json",
        "",
        '{"resolved": "https://mirror.example/a-package.tgz"}\n',
        "--omit-lockfile-registry-resolved",
    ),
    Defect("unit", "wrong logic", UTILITY, ".upper()", ".lower()", "HELLO WORLD"),
    Defect(
        "unit",
        "a warning",
        UTILITY,
        "    if loud:\n",
        '    __import__("warnings").warn("old", DeprecationWarning)\n    if loud:\n',
        "DeprecationWarning: old",
    ),
    Defect(
        "unit",
        "a test that is expected to fail and does not",
        UNIT,
        "def test_a_loud",
        "@__import__('pytest').mark.xfail\ndef test_a_loud",
        "XPASS(strict)",
    ),
    Defect("unit", "no unit tests", "tests/unit", "", None, "file or directory not found"),
    Defect(
        "integration",
        "a module that returns something else",
        MODULE,
        "greeting=greet(",
        "greetings=greet(",
        "KeyError",
    ),
    Defect(
        "integration",
        "no integration test",
        "tests/integration/test_greeting.py",
        "",
        None,
        "no tests ran",
    ),
    Defect(
        "unit integration coverage",
        "code that no test reaches",
        "plugins/module_utils/dead.py",
        "",
        SPDX + "\n\ndef dead(x):\n" + "    x += 1\n" * 18 + "    return x\n",
        "is less than fail-under",
    ),
]

CONTRACT = [
    Defect(
        "test_an_example_uses_only_options_that_exist",
        "an example with an option that does not exist",
        MODULE,
        "    who: world\n    loud: true\n",
        "    who: world\n    lowd: true\n",
        "no such option: lowd",
    ),
    Defect(
        "test_an_example_uses_only_options_that_exist",
        "an example without a required option",
        MODULE,
        "    who: world\n    loud: true\n",
        "    loud: true\n",
        "the required option is missing: name",
    ),
    Defect(
        "test_a_module_is_shown_in_its_own_examples",
        "an example of something else",
        MODULE,
        "- name: Greet\n  jgi.jaws.greeting:\n",
        "- name: Greet\n  ansible.builtin.debug:\n",
        "",
    ),
    Defect(
        "test_an_action_group_names_modules_that_exist",
        "an action group with a module that does not exist",
        "meta/runtime.yml",
        "    - greeting\n",
        "    - greeting\n    - letter\n",
        "letter",
    ),
    Defect(
        "test_a_default_is_the_one_that_the_specification_names",
        "a default other than the specified one",
        "roles/greeter/defaults/main.yml",
        "greeter_loud: false",
        "greeter_loud: true",
        "greeter_loud",
    ),
    Defect(
        "test_a_default_is_the_one_that_the_specification_names",
        "a default that is only specified",
        "roles/greeter/defaults/main.yml",
        "greeter_loud: false",
        "{}",
        "greeter_loud",
    ),
    Defect(
        "test_a_required_option_has_no_default",
        "a required option with a default",
        "roles/greeter/defaults/main.yml",
        "",
        "greeter_name: world\n",
        "greeter_name",
    ),
    Defect(
        "test_an_option_is_required_or_has_a_default_or_says_what_its_absence_means",
        "an option whose absence means nobody knows what",
        SPEC,
        "        required: true\n      greeter_file",
        "      greeter_file",
        "greeter_name",
    ),
    Defect(
        "test_a_role_reads_only_what_is_specified_or_made_by_itself",
        "a variable that is not specified",
        "roles/greeter/templates/greeting.j2",
        "",
        "{{ greeter_signature }}\n",
        "greeter_signature",
    ),
    Defect(
        "test_a_role_reads_only_what_is_specified_or_made_by_itself",
        "a condition on a variable that is not specified",
        TASKS,
        "  notify: Announce",
        "  notify: Announce\n  when: greeter_wanted",
        "greeter_wanted",
    ),
    Defect(
        "test_a_role_reads_every_option_that_it_specifies",
        "an option that nothing reads",
        TASKS,
        '    loud: "{{ greeter_loud }}"\n',
        "",
        "greeter_loud",
    ),
    Defect(
        "test_a_role_reads_no_fact_of_a_site_and_no_option_of_another_role",
        "a role that knows the site",
        "roles/greeter/vars/main.yml",
        "",
        '__greeter_file: "{{ site_greeting_file }}"\n',
        "site_greeting_file",
    ),
    Defect(
        "test_a_handler_that_is_notified_exists_and_one_that_exists_is_notified",
        "a handler that does not exist",
        TASKS,
        "notify: Announce",
        "notify: Announce it",
        "Announce it",
    ),
    Defect(
        "test_an_option_gets_no_second_default_in_a_task",
        "a default in a task",
        TASKS,
        "{{ greeter_loud }}",
        "{{ greeter_loud | default(true) }}",
        "greeter_loud",
    ),
    Defect(
        "test_a_role_that_a_playbook_or_role_names_exists",
        "a role that does not exist",
        "playbooks/deploy.yml",
        "jgi.jaws.greeter",
        "jgi.jaws.writer",
        "writer",
    ),
    Defect(
        "test_a_template_is_readable_for_jinja",
        "a template that is broken",
        "roles/greeter/templates/greeting.j2",
        "",
        "{% if %}\n",
        "TemplateSyntaxError",
    ),
    Defect(
        "test_jinja_in_yaml_is_readable_for_jinja",
        "an expression that is broken",
        SITE,
        "",
        'site_name: "{{ one two }}"\n',
        "TemplateSyntaxError",
    ),
    Defect(
        "test_no_task_goes_on_after_an_error_or_runs_a_shell",
        "a task whose errors are ignored",
        TASKS,
        "  notify: Announce",
        "  ignore_errors: true\n  notify: Announce",
        "ignore_errors",
    ),
    Defect(
        "test_a_vault_in_git_holds_no_secret_in_clear_text",
        "a vault in clear text",
        "inventories/here/group_vars/all/vault.yml",
        "",
        SPDX + "vault_name: world\n",
        "in clear text",
    ),
    Defect(
        "test_a_function_fits_on_a_screen",
        "a long function",
        UTILITY,
        "",
        "\n\ndef count(number: int) -> int:\n" + "    number += 1\n" * 30 + "    return number\n",
        "count",
    ),
    Defect(
        "test_few_functions_are_longer_than_the_aim",
        "too many functions above the aim",
        UTILITY,
        "",
        "\n\ndef count(number: int) -> int:\n" + "    number += 1\n" * 20 + "    return number\n",
        "count",
    ),
    Defect(
        "test_a_module_is_a_thin_shell",
        "a module with much code",
        MODULE,
        "def main()",
        "NUMBERS = [\n" + "    1,\n" * 90 + "]\n\n\ndef main()",
        "assert",
    ),
    Defect(
        "test_a_task_file_tells_one_thing",
        "a long task file",
        TASKS,
        "",
        "".join(
            f"\n- name: write | Say {number}\n  ansible.builtin.debug:\n    msg: {number}\n"
            for number in range(10)
        ),
        "assert",
    ),
    Defect(
        "test_a_molecule_scenario_leaves_the_rest_to_the_shared_configuration",
        "a scenario that configures everything",
        "molecule/one/molecule.yml",
        "",
        SPDX + "---\nplatforms:\n" + "  - name: one\n" * 10,
        "molecule.yml",
    ),
    Defect(
        "test_a_source_file_names_its_licence",
        "a file without its licence",
        UTILITY,
        SPDX,
        "",
        "plugins/module_utils/words.py",
    ),
    Defect(
        "test_a_version_has_its_changelog",
        "a version without its changelog",
        "galaxy.yml",
        "\nversion: ",
        "\nversion: 9",
        "make changelog",
    ),
    Defect(
        "test_a_module_is_announced_in_the_changelog",
        "a module that is not announced",
        "changelogs/changelog.yaml",
        "name: greeting",
        "name: letter",
        "make changelog",
    ),
    Defect(
        "test_make_help_names_every_target",
        "a target without its help",
        "Makefile",
        "",
        "\nsomething: tools\n\t@true\n",
        "something",
    ),
    Defect(
        "test_every_playbook_has_its_make_target",
        "a make target without its playbook",
        "playbooks/stop.yml",
        "",
        None,
        "'stop' != 'supervisors'",
    ),
    Defect(
        "test_ansible_builder_accepts_it_and_installs_the_collection",
        "a key that ansible-builder does not know",
        "execution-environment.yml",
        "\nversion: 3\n",
        "\nversion: 3\nimage: none\n",
        "'image' was unexpected",
    ),
    Defect(
        "test_the_image_has_the_locked_ansible",
        "another Ansible than the locked one",
        "execution-environment.yml",
        "ansible-core==",
        "ansible-core==2.18.0  # not ",
        "ansible-core==2.18.0",
    ),
    Defect(
        "test_the_image_holds_nothing_else_of_a_checkout",
        "an image with more of a checkout in it",
        "execution-environment.yml",
        "additional_build_files:\n",
        "additional_build_files:\n  - { src: build, dest: more }\n",
        "",
    ),
    Defect(
        "test_a_link_between_documents_leads_somewhere",
        "a dead link",
        "README.md",
        "",
        "\n[more](docs/more.md)\n",
        "docs/more.md",
    ),
    Defect(
        "test_no_test_skips_itself_in_silence",
        "a test that skips itself",
        UNIT,
        "",
        '\n\n__import__("pytest").importor' + 'skip("letters")\n',
        "test_words.py",
    ),
]
