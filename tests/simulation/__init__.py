"""Days of harvesting in virtual time, judged by the fake Hub's journal."""
