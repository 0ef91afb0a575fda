github_repository       = "example/vigil"
approval_emails         = ["releases@example.com"]
environment_account_ids = { dev = "111111111111", staging = "222222222222", production = "333333333333" }
targets = [
  {
    environment    = "dev"
    project_name   = "vigil-dev-deploy"
    start_role_arn = "arn:aws:iam::111111111111:role/vigil-dev-deploy-start"
    alarm_names    = ["vigil-dev-events-old", "vigil-dev-events-dead"]
    approval       = false
  },
  {
    environment    = "staging"
    project_name   = "vigil-staging-deploy"
    start_role_arn = "arn:aws:iam::222222222222:role/vigil-staging-deploy-start"
    alarm_names    = ["vigil-staging-events-old", "vigil-staging-events-dead"]
    approval       = false
  },
  {
    environment    = "production"
    project_name   = "vigil-production-deploy"
    start_role_arn = "arn:aws:iam::333333333333:role/vigil-production-deploy-start"
    alarm_names    = ["vigil-production-events-old", "vigil-production-events-dead"]
    approval       = true
  },
]
