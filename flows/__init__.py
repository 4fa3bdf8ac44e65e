"""The deployable Prefect flows: thin sequences over the plain functions of `countersign`."""
