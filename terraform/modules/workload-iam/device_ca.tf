# The key that signs the certificates of devices, where it is in KMS: only the devices' address signs
# with it, and only by ECDSA with SHA-256. The key is made by a person: it must outlive the cluster.

data "aws_iam_policy_document" "device_ca" {
  count = var.device_ca_kms_key_arn == "" ? 0 : 1
  statement {
    sid       = "SignDevices"
    actions   = ["kms:Sign"]
    resources = [var.device_ca_kms_key_arn]
    condition {
      test     = "StringEquals"
      variable = "kms:SigningAlgorithm"
      values   = ["ECDSA_SHA_256"]
    }
  }
  statement {
    sid       = "ReadPublicKey"
    actions   = ["kms:GetPublicKey"]
    resources = [var.device_ca_kms_key_arn]
  }
}

resource "aws_iam_role_policy" "device_ca" {
  count  = var.device_ca_kms_key_arn == "" ? 0 : 1
  name   = "device-ca"
  role   = aws_iam_role.account["link"].id
  policy = data.aws_iam_policy_document.device_ca[0].json
}
