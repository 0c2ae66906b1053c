"""Handrail: a recovery-support assistant that always directs crisis language to people."""
