-- Of schema :source, which is put in its place. The order in which models were made current.
SELECT setval('model_turns', greatest(last_value, 1)) FROM :source.model_turns
