"""Sign-in by OpenID Connect providers: docs/design/oidc.md."""
