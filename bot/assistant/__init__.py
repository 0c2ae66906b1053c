"""What the Rasa server loads: turn channel and tracker store. Python 3.10; imports rasa and the standard library."""
