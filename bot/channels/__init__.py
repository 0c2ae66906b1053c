"""How people reach the desk: the web widget now; each channel is a thin translation of its protocol."""
