"""Who may use the clinic's pages: users, factors, sessions, and what keeps guessing slow."""
