"""Updates of the fleet: signed releases, rollouts over rings, halt rules, maintenance windows."""
