"""The record: encrypted rows behind SQLAlchemy, on SQLite or PostgreSQL, and the spool for when neither answers."""
