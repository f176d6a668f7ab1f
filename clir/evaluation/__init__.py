"""What a run is worth: measures against qrels, differences between runs, and the tables that show them."""
