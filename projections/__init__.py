"""What it means: credit lines folded from the events, and the calculation of performance over them."""
