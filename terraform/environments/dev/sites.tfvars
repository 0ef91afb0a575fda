# From the folder of the root.
sites_file = "../../environments/dev/sites.yaml"
