"""`vigil device ca`: make the authority of devices, and change it without a restart."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from streams.settings import get_settings

_READ = "The workers read the files again within 10 s."


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `ca create`, `rotate`, `switch` and `retire`."""
    parser = verbs.add_parser("ca", help="the authority that signs devices' certificates")
    ca_verbs = parser.add_subparsers(dest="ca_verb", required=True)
    create = ca_verbs.add_parser("create", help="make its key and its certificate, in new files")
    rotate = ca_verbs.add_parser("rotate", help="make the next authority, and trust it")
    switch = ca_verbs.add_parser("switch", help="let the next authority sign")
    retire = ca_verbs.add_parser("retire", help="trust only the authority that signs")
    for each in (create, rotate, switch, retire):
        each.add_argument(
            "--certificate",
            type=Path,
            required=True,
            help="file for the certificate: VIGIL_DEVICE_CA_CERTIFICATE_FILE",
        )
        keys = each if each is switch else each.add_mutually_exclusive_group(required=True)
        keys.add_argument(
            "--key",
            type=Path,
            required=each is switch,
            help="file for the key: VIGIL_DEVICE_CA_KEY_FILE",
        )
        if each is not switch:
            keys.add_argument(
                "--kms-key",
                metavar="KEY",
                help="id, ARN or alias of an ECC_NIST_P256 key in AWS KMS: VIGIL_DEVICE_CA_KMS_KEY",
            )
    for each in (create, rotate):
        each.add_argument("--name", default="Vigil devices", help="name in the certificate")
    for each, run in (
        (create, run_create),
        (rotate, run_rotate),
        (switch, run_switch),
        (retire, run_retire),
    ):
        each.set_defaults(run=run)


def run_create(args: argparse.Namespace) -> int:
    """Make the authority."""
    from stores.device_ca import certify, create_ca, write_new  # noqa: PLC0415 - slow to import

    now = datetime.now(UTC)
    if args.kms_key is None:
        create_ca(args.certificate, args.key, args.name, now)
    else:
        write_new(args.certificate, certify(_kms_key(args.kms_key), args.name, now), 0o644)
    print(f"VIGIL_DEVICE_CA_CERTIFICATE_FILE={args.certificate}")
    if args.kms_key is None:
        print(f"VIGIL_DEVICE_CA_KEY_FILE={args.key}")
    else:
        print(f"VIGIL_DEVICE_CA_KMS_KEY={args.kms_key}")
    return 0


def run_rotate(args: argparse.Namespace) -> int:
    """Make the next authority and trust it; the old one still signs."""
    from stores.device_ca_rotation import trust_key, trust_next  # noqa: PLC0415 - slow to import

    now = datetime.now(UTC)
    if args.kms_key is None:
        trust_next(args.certificate, args.key, args.name, now)
        following = f"`vigil device ca switch --certificate {args.certificate} --key {args.key}`"
    else:
        trust_key(args.certificate, _kms_key(args.kms_key), args.name, now)
        following = f"set VIGIL_DEVICE_CA_KMS_KEY={args.kms_key}, and restart them one by one"
    print(f"The next authority is trusted. {_READ} When all of them have: {following}.")
    return 0


def run_switch(args: argparse.Namespace) -> int:
    """Let the next authority sign."""
    from stores.device_ca_rotation import use_next  # noqa: PLC0415 - slow to import

    use_next(args.certificate, args.key)
    print(
        f"The new authority signs. {_READ} After a day, all connected devices have its "
        f"certificates: `vigil device ca retire --certificate {args.certificate} --key {args.key}`."
    )
    return 0


def run_retire(args: argparse.Namespace) -> int:
    """Trust only the authority that signs."""
    from stores.device_ca_rotation import retire  # noqa: PLC0415 - slow to import

    retire(args.certificate, args.key if args.kms_key is None else _kms_key(args.kms_key))
    print(f"Only the authority that signs is trusted. {_READ}")
    return 0


def _kms_key(key: str) -> ec.EllipticCurvePrivateKey:
    from streams.device_ca_files import open_kms_key  # noqa: PLC0415 - slow to import

    return open_kms_key(get_settings(), key)
