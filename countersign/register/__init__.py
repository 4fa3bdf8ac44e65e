"""The register: accountability as code, owned by the customer."""
