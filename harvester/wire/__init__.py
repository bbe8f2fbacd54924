"""The far end over HTTP. Rank 3: knows records and errors, knows no database."""
