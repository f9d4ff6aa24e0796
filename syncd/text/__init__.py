"""Sentences and tables for people: no input, no output."""
