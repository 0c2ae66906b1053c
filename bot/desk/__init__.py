"""The front desk: the turn, whatever Rasa and the database do."""
