"""The database. Rank 2: knows SQL, records and jobs, knows no HTTP."""
