"""The verification harness: what the product must survive, and how it is checked afterwards."""
