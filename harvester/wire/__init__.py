"""The far end over HTTP. Rank 2: knows records and errors, knows no database."""
