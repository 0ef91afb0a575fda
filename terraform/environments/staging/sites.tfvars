# From the folder of the root.
sites_file = "../../environments/staging/sites.yaml"
