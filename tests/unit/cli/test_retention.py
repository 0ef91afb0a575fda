"""What `vigil retention` and `vigil hold` refuse before they ask any server."""

import pytest

from cli.main import main

FAR = "2026-11-22T17:00:00Z"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["retention", "set", "Acme/hq", "--days", "3"], "names no footage"),
        (["retention", "set", "acme", "--days", "0"], "--days must be 1"),
        (["retention", "clear", "a/b/c/d"], "names no footage"),
        (["retention", "show", "a//b"], "names no footage"),
        (["retention", "enforce", "--camera", "acme/hq"], "is not a camera id"),
        (["retention", "enforce", "--every", "59s"], "at least 1m"),
        (["hold", "add", "acme/hq/", "--from", FAR, "--why", "7"], "names no footage"),
        (["hold", "add", "acme", "--from", "2026-11-22T17:00:00", "--why", "7"], "no zone"),
        (["hold", "add", "acme", "--from", FAR, "--to", FAR, "--why", "7"], "before --to"),
        (["hold", "add", "acme", "--from", FAR, "--why", "  "], "--why"),
        (["hold", "add", "acme", "--from", FAR, "--why", "7", "--who", " "], "--who"),
    ],
)
def test_wrong_words_are_refused(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIL_DATABASE_URL", "postgresql://vigil@127.0.0.1:9/vigil")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert says in str(ended.value)
