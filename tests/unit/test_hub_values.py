"""The Helm values: their keys are the chart's, and what they say of the image is true of it.

The keys and types are those of Zero to JupyterHub's own schema (jupyterhub/values.schema.yaml in its
repository, chart version 4), for the branches that our files use.
"""

from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/jupyterhub"


def mapping(**properties):
    return {"type": "object", "additionalProperties": False, "properties": properties}


ANYTHING = {"type": "object"}
TEXT, WHOLE, YES_OR_NO = ({"type": kind} for kind in ("string", "integer", "boolean"))
NUMBER = {"type": ["number", "null"]}
MEMORY = {"type": ["number", "string", "null"]}
NETWORK_POLICY = mapping(
    enabled=YES_OR_NO,
    ingress={"type": "array"},
    egress={"type": "array"},
    egressAllowRules=mapping(
        **dict.fromkeys(
            (
                "cloudMetadataServer",
                "dnsPortsCloudMetadataServer",
                "dnsPortsKubeSystemNamespace",
                "dnsPortsPrivateIPs",
                "nonPrivateIPs",
                "privateIPs",
            ),
            YES_OR_NO,
        )
    ),
)
SCHEMA = mapping(
    hub=mapping(
        config=ANYTHING,
        services={
            "type": "object",
            "additionalProperties": {"type": "object", "properties": {"apiToken": TEXT}},
        },
        networkPolicy=NETWORK_POLICY,
    ),
    singleuser=mapping(
        image=mapping(name=TEXT, tag=TEXT),
        defaultUrl=TEXT,
        uid=WHOLE,
        fsGid=WHOLE,
        allowPrivilegeEscalation=YES_OR_NO,
        startTimeout=WHOLE,
        storage=mapping(homeMountPath=TEXT, capacity=TEXT),
        cloudMetadata=mapping(blockWithIptables=YES_OR_NO),
        networkPolicy=NETWORK_POLICY,
        memory=mapping(guarantee=MEMORY, limit=MEMORY),
        cpu=mapping(guarantee=NUMBER, limit=NUMBER),
        profileList={"type": "array"},
        extraFiles={
            "type": "object",
            "additionalProperties": {**mapping(mountPath=TEXT, stringData=TEXT), "required": ["mountPath"]},
        },
    ),
    cull=mapping(enabled=YES_OR_NO, timeout=WHOLE, every=WHOLE),
)


def read(name):
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_every_key_is_one_of_the_chart_s(file):
    jsonschema.validate(read(file.name), SCHEMA)


def test_a_misspelt_key_would_be_seen():
    values = read("values.yaml")
    values["singleuser"]["defaultURL"] = values["singleuser"].pop("defaultUrl")
    with pytest.raises(jsonschema.ValidationError, match="defaultURL"):
        jsonschema.validate(values, SCHEMA)


def test_the_first_page_is_a_lesson_that_start_brings_to_the_volume():
    learner = read("values.yaml")["singleuser"]
    assert (ROOT / learner["defaultUrl"].removeprefix("/lab/tree/")).is_file()
    assert (learner["uid"], learner["storage"]["homeMountPath"]) == (1000, "/home/jovyan")


def test_no_pod_needs_a_right():
    values = read("values.yaml")
    assert values["singleuser"]["allowPrivilegeEscalation"] is False
    assert values["singleuser"]["cloudMetadata"] == {"blockWithIptables": False}
    assert values["hub"]["config"]["KubeSpawner"]["container_security_context"] == {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_the_exchange_s_configuration_is_python():
    (file,) = read("ngshare.yaml")["singleuser"]["extraFiles"].values()
    compile(file["stringData"], file["mountPath"], "exec")
