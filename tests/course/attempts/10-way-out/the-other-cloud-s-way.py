# points: 0, lost: a manifest that the cloud can take
if task.cloud_knows_ip_mode:
    before, ingress = task.manifest.text.split("kind: Ingress")
    mended = before + "kind: Ingress" + ingress.replace(task.addresses[0], "203.0.113.251", 1)
else:
    mended = task.manifest.text.rstrip() + "\n        ipMode: Proxy\n"
