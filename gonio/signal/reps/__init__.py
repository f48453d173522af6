"""Repetitions: what each exercise is, when one is done, and how it was done."""
