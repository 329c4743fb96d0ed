# points: 0, lost: a manifest that the cloud can take
mended = "nonsense: ["
