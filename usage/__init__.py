"""What requests cost: the record of each, from admission to settlement. Imports accounts only."""
