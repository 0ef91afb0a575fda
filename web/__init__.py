"""The web worker: Faust views with the HTTP API and the dashboard's files."""
