"""Prompt tests that run in CI: a YAML file of cases, prompts, models and what must hold."""
