"""A local Google Cloud that speaks gRPC and REST, with helpers that seed it and make it fail; it loads Google's libraries at start."""

from sandbox.gcp.estate import Account, Folder, Key, Organization, Project, Resource
from sandbox.gcp.server import Call, SandboxGcp

__all__ = ["Account", "Call", "Folder", "Key", "Organization", "Project", "Resource", "SandboxGcp"]
