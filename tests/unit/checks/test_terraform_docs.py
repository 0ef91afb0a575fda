"""The table of Terraform's variables and outputs."""

import pytest

from checks.terraform_docs import page, undescribed

VARIABLES = """variable "name" {
  description = "Prefix of all names."
  type        = string
}

variable "targets" {
  description = "Environments."
  type = list(object({
    environment = string
  }))
  default = []
  validation {
    condition     = true
    error_message = "No."
  }
}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "modules/a").mkdir(parents=True)
    (tmp_path / "modules/a/variables.tf").write_text(VARIABLES)
    (tmp_path / "modules/a/outputs.tf").write_text(
        'output "arn" {\n  description = "Its ARN."\n  value       = 1\n}\n'
    )
    return tmp_path


def test_variables_and_outputs_are_listed(folder):
    text = page(folder)
    assert "## modules/a" in text
    assert "| `name` | `string` | required | Prefix of all names. |" in text
    assert "| `targets` | `list(object({ …` | `[]` | Environments. |" in text
    assert "| `arn` | Its ARN. |" in text


def test_what_has_no_description_is_named(folder):
    assert list(undescribed(folder)) == []
    (folder / "modules/a/variables.tf").write_text('variable "b" {\n  type = string\n}\n')
    (sentence,) = undescribed(folder)
    assert sentence.endswith("variable b has no description.")
