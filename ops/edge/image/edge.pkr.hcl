# The golden image of an edge device: Ubuntu 22.04 by autoinstall, then the roles of Ansible. It is
# built by `build.sh`, which makes the key of the build. It was validated, and never run: no image of
# Ubuntu can be had where this was written. debian.sh runs the same roles in a root of Debian.

variable "iso_url" {
  type    = string
  default = "https://releases.ubuntu.com/22.04/ubuntu-22.04.5-live-server-amd64.iso"
}

variable "iso_checksum" {
  type        = string
  default     = "sha256:9bc6028870aef3f74f4e16b900008179e78b130e6b0b9a140635434a46aa98b0"
  description = "Compare it with Ubuntu's signed SHA256SUMS before the first build: that was not possible here."
}

variable "version" {
  type        = string
  description = "Version of the system, such as 2026.11.30: a device takes newer ones only."
}

variable "keyring" {
  type        = string
  description = "PEM of the CA of bundles. Its key is in the vault, never here."
}

variable "ssh_private_key_file" {
  type        = string
  description = "Of the build, made by build.sh, and removed from the image at its end."
}

variable "http_directory" {
  type        = string
  description = "Folder with user-data and meta-data, written by build.sh."
}

variable "nvidia_branch" {
  type    = string
  default = "580-server"
}

variable "firmware" {
  type    = string
  default = "/usr/share/OVMF"
}

source "qemu" "edge" {
  iso_url          = var.iso_url
  iso_checksum     = var.iso_checksum
  output_directory = "build/edge-image"
  vm_name          = "edge.raw"
  format           = "raw"
  disk_size        = "64G"
  disk_interface   = "virtio"
  accelerator      = "kvm"
  machine_type     = "q35"
  cpus             = 4
  memory           = 8192
  headless         = true
  http_directory   = var.http_directory

  # UEFI with Secure Boot: a loader or a kernel without Canonical's signature does not start, here as
  # on a device. No key of our own is enrolled, so NVIDIA's modules are Canonical's signed ones.
  qemuargs = [
    ["-drive", "if=pflash,format=raw,unit=0,readonly=on,file=${var.firmware}/OVMF_CODE_4M.ms.fd"],
    ["-drive", "if=pflash,format=raw,unit=1,file=build/edge-image-vars.fd"],
    ["-global", "driver=cfi.pflash01,property=secure,value=on"],
  ]

  boot_wait = "5s"
  boot_command = [
    "c<wait>",
    "linux /casper/vmlinuz autoinstall ds='nocloud-net;s=http://{{ .HTTPIP }}:{{ .HTTPPort }}/'<enter><wait>",
    "initrd /casper/initrd<enter><wait>boot<enter>",
  ]

  ssh_username         = "builder"
  ssh_private_key_file = var.ssh_private_key_file
  ssh_timeout          = "45m"
  shutdown_command     = "sudo /usr/sbin/vigil-image-finish"
}

build {
  sources = ["source.qemu.edge"]

  # Signed by Canonical for the kernel of this image: Secure Boot stays on, and nothing is compiled.
  provisioner "shell" {
    inline = [
      "sudo apt-get -q update",
      "sudo DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends linux-modules-nvidia-${var.nvidia_branch}-generic nvidia-headless-no-dkms-${var.nvidia_branch} nvidia-utils-${var.nvidia_branch} tpm2-tools",
      "sudo apt-mark hold linux-image-generic linux-modules-nvidia-${var.nvidia_branch}-generic nvidia-utils-${var.nvidia_branch}",
    ]
  }

  provisioner "ansible" {
    playbook_file = "ops/edge/image.yml"
    user          = "builder"
    use_proxy     = false
    ansible_env_vars = [
      "ANSIBLE_CONFIG=ops/edge/ansible.cfg",
      "ANSIBLE_ROLES_PATH=ops/edge/roles",
    ]
    extra_arguments = [
      "--extra-vars", "system_update_version=${var.version} system_update_keyring_file=${var.keyring}",
    ]
  }

  # What belongs to one machine, and the account of the build, leave the image with its shutdown.
  provisioner "file" {
    source      = "ops/edge/image/finish.sh"
    destination = "/tmp/vigil-image-finish"
  }

  provisioner "shell" {
    inline = ["sudo install -m 0755 /tmp/vigil-image-finish /usr/sbin/vigil-image-finish"]
  }

  # Slot B gets what slot A has; the bundle is signed from the same bytes.
  post-processor "shell-local" {
    inline = ["bash ops/edge/image/fill-slots.sh build/edge-image/edge.raw build/edge-image/slot.ext4"]
  }
}
