"""Workers are killed and replaced: is an event lost or handled twice?"""
