"""The error tree. A message says what is wrong and what the operator does about it."""


class VigilError(Exception):
    """Root of every error that Vigil raises on purpose; its text is for an operator."""


class ConfigError(VigilError):
    """A setting or configuration file cannot be used; the text names the key and the remedy."""


class ConflictError(ConfigError):
    """A change that the present state does not allow; the text says what to do first."""


class InvalidEventError(VigilError):
    """A message is not an event of a known type and version; it belongs in a dead letter."""


class InvalidIdError(VigilError, ValueError):
    """A camera, run or key is not in the form that docs/reference/events.md describes."""


class InvalidTextError(VigilError, ValueError):
    """A name or a reason is empty, too long, or has characters that no one can read."""


class InvalidQueryError(VigilError):
    """A request asks for something impossible, such as a range that ends before it starts."""


class OidcError(VigilError):
    """A sign-in by an OpenID provider is refused; the text is for the person who signs in."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        """One word of domain/oidc.py's Reason: the metric counts by it."""


class MediaError(VigilError):
    """Video bytes cannot be read or written as asked."""


class ModelError(VigilError):
    """A model file or its card cannot be used."""


class StoreError(VigilError):
    """An external system (S3, SQS, PostgreSQL, Kafka) did not do what was asked."""


class CredentialsError(StoreError):
    """Credentials are expired, unknown or missing; the caller reads them again."""


class RefusedError(StoreError):
    """What was sent is itself at fault: to send it again unchanged does not help."""


class ObjectMissingError(StoreError):
    """The object is not in the store."""


class ObjectExistsError(StoreError):
    """An object with other content already exists under the key."""


class IntegrityError(StoreError):
    """Bytes read do not have the size or SHA-256 that was promised."""
