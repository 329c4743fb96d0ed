"""labkit: a lab network that forwards Kubernetes Services as kube-proxy does, on a Linux of its own."""

__version__ = "0.1.0"
