"""What Rasa asks Python to do: each action answers with references and effects, never with text."""
