"""The database. Rank 3: knows SQL, records and jobs, knows no HTTP."""
