"""Teaching a student query encoder the states that a teacher gives the English side of a bitext."""
