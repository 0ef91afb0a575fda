"""What `vigil replay detections` and `vigil model` refuse before they ask any server."""

import pytest

from cli.main import main


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("replay", "detections", "--from", "1", "--to", "1"), "--from must be before --to"),
        (("replay", "detections", "--from", "1", "--to", "99999999999999"), "in the future"),
        (("replay", "detections", "--from", "1", "--to", "2", "--version", "A b"), "not a version"),
        (("replay", "detections", "--from", "1", "--to", "2", "--model", "no.yaml"), "no.yaml"),
        (("replay", "detections", "--from", "1", "--to", "2", "--model", "no.onnx"), "no card"),
        (("replay", "detections", "--from", "1", "--to", "2", "--threads", "0"), "--threads"),
        (("replay", "detections", "--from", "1", "--to", "2", "--who", " "), "--who"),
        (("model", "current"), "Give a model"),
        (("model", "current", "hog", "1", "--live"), "not both"),
        (("model", "current", "Hog", "1"), "is not a model"),
        (("model", "drop", "hog", "*"), "is not a version"),
    ],
)
def test_wrong_words_are_refused(
    arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIL_DATABASE_URL", "postgresql://vigil@127.0.0.1:9/vigil")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert says in str(ended.value)


@pytest.mark.parametrize("rate", ["61", "0", "-1", "nan", "1e9", "key", ""])
def test_rates_that_are_none(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["replay", "detections", "--from", "1", "--to", "2", "--rate", rate])
    assert "is not a rate" in capsys.readouterr().err
