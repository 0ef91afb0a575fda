# From the folder of the root.
sites_dir = "../../../ops/sites/staging"
