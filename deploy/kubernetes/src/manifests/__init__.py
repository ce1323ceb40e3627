"""The platform on Kubernetes: files that kustomize reads, made of what the stack declares."""
