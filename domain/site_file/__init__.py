"""The site file: one file per site that Terraform, Ansible and the catalog read."""

from domain.site_file.model import SiteDevice, SiteFile
from domain.site_file.problems import problems_between, warnings_of

__all__ = ["SiteDevice", "SiteFile", "problems_between", "warnings_of"]
