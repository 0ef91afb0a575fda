# From the folder of the root.
sites_file = "../../environments/production/sites.yaml"
