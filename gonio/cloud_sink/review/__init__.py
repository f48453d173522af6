"""The clinic's pages: patients, their sessions, and one session with its angle curve, repetitions and quality."""
