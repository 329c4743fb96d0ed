"""The pod that KubeSpawner makes of our Helm values, held to Kubernetes' "restricted" standard.

`make test-hub` runs it where jupyterhub-kubespawner is installed. What the chart hands on to KubeSpawner is
written in its files/hub/jupyterhub_config.py, the standard in Kubernetes' documentation (Pod Security
Standards).
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import yaml
from traitlets.config import Config

VALUES = Path(__file__).parents[2] / "deploy/jupyterhub/values.yaml"
# KubeSpawner wants to know of a cluster when it is made, and asks it nothing while it makes a pod.
NO_CLUSTER = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "none", "user": {}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "current-context": "none",
}


def configuration(values):
    """What the chart makes of singleuser and hub.config, in KubeSpawner's words."""
    learner = values["singleuser"]
    claim = "claim-{username}"
    spawner = {
        "image": "{name}:{tag}".format(**learner["image"]),
        "uid": learner["uid"],
        "fs_gid": learner["fsGid"],
        "allow_privilege_escalation": learner["allowPrivilegeEscalation"],
        "start_timeout": learner["startTimeout"],
        "default_url": learner["defaultUrl"],
        "cmd": ["jupyterhub-singleuser"],
        "mem_guarantee": learner["memory"]["guarantee"],
        "mem_limit": learner["memory"]["limit"],
        "cpu_guarantee": learner["cpu"]["guarantee"],
        "cpu_limit": learner["cpu"]["limit"],
        "profile_list": learner["profileList"],
        "storage_capacity": learner["storage"]["capacity"],
        "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": claim}}],
        "volume_mounts": [{"name": "home", "mountPath": learner["storage"]["homeMountPath"]}],
    }
    config = Config({"KubeSpawner": spawner})
    config.merge(Config(values["hub"]["config"]))
    return config


def pod(values, profile):
    """The pod of a learner who chose a profile."""
    from kubespawner import KubeSpawner  # it looks for a cluster's configuration when it is imported

    async def make():
        spawner = KubeSpawner(config=configuration(values), _mock=True)
        spawner.user_options = {"profile": profile}
        await spawner.load_user_options()
        return (await spawner.get_pod_manifest()).to_dict()

    return asyncio.run(make())


def violations(made):
    """What the restricted standard refuses in a pod's specification."""
    spec = made["spec"]
    around = spec.get("security_context") or {}
    if any(spec.get(name) for name in ("host_network", "host_pid", "host_ipc")):
        yield "a namespace of the host"
    if any("hostPath" in volume for volume in spec["volumes"] or ()):
        yield "a folder of the host"
    for container in [*spec["containers"], *(spec.get("init_containers") or ())]:
        own = container.get("security_context") or {}
        context = {**around, **{key: value for key, value in own.items() if value is not None}}
        if context.get("privileged"):
            yield "privileged"
        if context.get("allowPrivilegeEscalation") is not False:
            yield "privileges may grow"
        if not context.get("runAsNonRoot") or context.get("runAsUser") == 0:
            yield "it may be root"
        capabilities = context.get("capabilities") or {}
        if "ALL" not in capabilities.get("drop", ()) or capabilities.get("add"):
            yield f"capabilities {capabilities}"
        if context.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
            yield "no seccomp profile"


def main():
    values = yaml.safe_load(VALUES.read_text(encoding="utf-8"))
    failed = False
    for profile in values["singleuser"]["profileList"]:
        made = pod(values, profile["slug"])
        (container,) = made["spec"]["containers"]
        found = list(violations(made))
        resources = container["resources"]
        sys.stdout.write(f"{profile['slug']}: {'; '.join(found) or 'restricted'}\n")
        sys.stdout.write(f"   {resources['requests']} to {resources['limits']}, {container['args']}\n")
        sys.stdout.write(f"   {container['security_context']}\n")
        failed |= bool(found)
    return failed


if __name__ == "__main__":
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(NO_CLUSTER, file)
        file.flush()
        os.environ["KUBECONFIG"] = file.name
        sys.exit(main())
