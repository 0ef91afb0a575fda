"""The catalog's schema, step by step: alembic orders the steps, SQL files say what each does."""
