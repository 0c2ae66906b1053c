"""The counselors' web console: deny by default, nothing from elsewhere, no words in logs."""
