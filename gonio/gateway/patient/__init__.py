"""What the patient's page is made from: what is due, what was done, what hurts; pure, and without words."""
