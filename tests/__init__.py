"""Tests: scenarios, properties, conformance; every one against a real PostgreSQL."""
