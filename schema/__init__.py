"""WHAT is replicated: tables, columns, classes, audiences and policies; migrations, capture and guard."""
