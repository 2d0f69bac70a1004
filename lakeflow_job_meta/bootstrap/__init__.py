"""One-time set-up of datasets and tables from schema files."""
