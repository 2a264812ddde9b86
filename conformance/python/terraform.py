"""Terraform and its AWS provider, unmodified: what is applied is what is read back, so that a plan finds nothing to do.

Needs `terraform` and the provider that conformance/terraform names: `terraform init` brings it from wherever Terraform
is set to look, or from the folder that CONFORMANCE_TERRAFORM_MIRROR names.
"""

import json
import os
import pathlib
import shutil
import subprocess

from durability.server import fresh_folder
from firehose.parts import Millstream
from harness import Suite, equal, finish

CONFIGURATION = pathlib.Path(__file__).resolve().parent.parent / "terraform"
OUTSIDE = """
[secrets]
"arn:aws:secretsmanager:us-east-1:000000000000:secret:keys-abcdef" = '{"username":"u","password":"p","api_key":"k","hec_token":"t"}'
[kafka_clusters]
"arn:aws:kafka:us-east-1:000000000000:cluster/main/11111111-2222-3333-4444-555555555555-1" = "127.0.0.1:1"
[search_domains]
"arn:aws:es:us-east-1:000000000000:domain/logs" = "https://search.example.com"
"""
# What no description tells, so that no import can know it.
SECRETS = {"access_key", "password"}

suite = Suite("Terraform, AWS provider", "JSON", "firehose")


class Terraform:
    """One configuration and its state, in a folder of its own."""

    def __init__(self, folder, endpoint, plugins):
        self.folder, self.endpoint, self.plugins = folder, endpoint, plugins
        folder.mkdir(parents=True)
        for path in CONFIGURATION.glob("*.tf"):
            shutil.copy(path, folder)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "CHECKPOINT_DISABLE": "1",
                            "TF_PLUGIN_CACHE_DIR": str(plugins), "AWS_EC2_METADATA_DISABLED": "true"}
        mirror = os.environ.get("CONFORMANCE_TERRAFORM_MIRROR")
        if mirror:
            settings = folder / "settings.tfrc"
            settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
            self.environment["TF_CLI_CONFIG_FILE"] = str(settings)
        self.run("init", "-backend=false")

    def run(self, command, *arguments, step=None, wanted=(0,)):
        """Runs one command and gives its exit status and what it printed."""
        variables = [f"-var=endpoint={self.endpoint}", f"-var=step={step}"] if step else []
        line = ["terraform", command, "-no-color", *arguments, *variables]
        done = subprocess.run(line, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300, check=False)
        told = [text for text in done.stdout.splitlines() if not text.endswith("...") and ": Refreshing" not in text]
        assert done.returncode in wanted, f"{' '.join(line)}: {done.stderr[-3000:]}\n{os.linesep.join(told)[-3000:]}"
        return done.returncode, done.stdout

    def apply(self, step):
        self.run("apply", "-auto-approve", "-input=false", "-parallelism=20", step=step)

    def finds_nothing_to_do(self, step):
        """Refuses if a plan would change anything."""
        self.run("plan", "-detailed-exitcode", "-input=false", step=step)

    def state(self):
        """The resources that it manages, with all their values."""
        _, told = self.run("show", "-json")
        resources = json.loads(told)["values"]["root_module"]["resources"]
        return [resource for resource in resources if resource["mode"] == "managed"]


def a_plan_after_apply_is_empty(terraform, _site):
    """what is created with every option comes back as it was given: a plan after apply is empty"""
    terraform.apply(1)
    terraform.finds_nothing_to_do(1)


def a_plan_after_a_change_is_empty(terraform, _site):
    """what is updated in place comes back as it was given: a plan after each change is empty, there and back again"""
    made = arns(terraform)
    for step in (2, 3):
        terraform.apply(step)
        terraform.finds_nothing_to_do(step)
    equal(arns(terraform), made, "resources, none of them replaced")


def arns(terraform):
    """What identifies each resource."""
    return {resource["address"]: resource["values"].get("arn") for resource in terraform.state()}


def what_is_there_is_imported(terraform, _site):
    """what is there is imported whole: a plan finds all of it but the secrets that no description tells"""
    blocks = []
    for resource in terraform.state():
        values = resource["values"]
        identity = values["name"] if resource["type"] == "aws_kinesis_stream" else values["id"]
        blocks.append(f'import {{\n  to = {resource["address"]}\n  id = "{identity}"\n}}\n')
    other = Terraform(terraform.folder.with_name("imported"), terraform.endpoint, terraform.plugins)
    (other.folder / "imports.tf").write_text("".join(blocks))
    other.run("plan", "-input=false", "-out=plan", step=3)
    _, told = other.run("show", "-json", "plan")
    changes = [each for each in json.loads(told)["resource_changes"] if each["mode"] == "managed"]
    equal(len(changes), len(blocks), "resources")
    for each in changes:
        change = each["change"]
        assert "importing" in change and change["actions"] in (["no-op"], ["update"]), (each["address"], change["actions"])
        # The streams' own waiting times and flags are Terraform's, and in no description either.
        if each["type"] == "aws_kinesis_firehose_delivery_stream":
            found = set(differing(change["before"], change["after"]))
            assert found <= SECRETS, (each["address"], found)


def differing(one, other, name=""):
    """The names of the members that differ between two values."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from differing(one.get(key), other.get(key), key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for each in zip(one, other):
            yield from differing(*each, name)
    elif one != other:
        yield name


def all_of_it_is_destroyed(terraform, site):
    """what is destroyed is gone"""
    assert terraform.state(), "nothing is there"
    terraform.run("destroy", "-auto-approve", "-input=false", "-parallelism=20", step=3)
    equal(site.firehose().list_delivery_streams()["DeliveryStreamNames"], [])
    equal(site.kinesis().list_streams()["StreamNames"], [])


OPERATIONS = {
    a_plan_after_apply_is_empty: ("CreateDeliveryStream", "DescribeDeliveryStream", "ListTagsForDeliveryStream",
                                  "StartDeliveryStreamEncryption"),
    a_plan_after_a_change_is_empty: ("UpdateDestination", "DescribeDeliveryStream", "TagDeliveryStream",
                                     "UntagDeliveryStream", "StopDeliveryStreamEncryption"),
    what_is_there_is_imported: ("DescribeDeliveryStream",),
    all_of_it_is_destroyed: ("DeleteDeliveryStream", "ListDeliveryStreams"),
}


if __name__ == "__main__":
    place = fresh_folder("terraform").resolve()
    cache = place / "plugins"
    cache.mkdir()
    (place / "server").mkdir()
    outside = place / "outside.toml"
    outside.write_text(OUTSIDE)
    server = Millstream(place / "server", {"outside_file": str(outside)})
    assert server.start() is not None, server.log()
    try:
        made = Terraform(place / "made", server.endpoint, cache)
        for prove, operations in OPERATIONS.items():
            suite.add(operations, prove.__doc__, prove)
        counts = suite.run(made, server)
    finally:
        server.kill()
    finish([counts])
