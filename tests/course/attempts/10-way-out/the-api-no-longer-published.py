# points: 0, lost: a manifest that the cloud can take
mended = task.manifest.text[: task.manifest.text.rindex("---")]
