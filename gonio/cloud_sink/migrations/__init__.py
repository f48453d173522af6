"""How the book's tables came to be, step by step (Alembic); ``open_store`` takes the steps that a file lacks."""
