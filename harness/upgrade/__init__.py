"""Rolling upgrade of the chart's own containers under load."""
