"""The clinic: takes records in exactly once, keeps the book, and shows it to the therapist."""
