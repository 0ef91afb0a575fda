"""AWS's list prices, US dollars, by region. One table, one date.

They are written down from memory, on the day below. `SEEN` names those whose figure for us-east-1
was found on a page that day. Check all of them before you decide anything by them: AWS changes
prices, and contracts have others. Taxes, discounts and free tiers are not in them.
"""

from dataclasses import dataclass, replace

from domain.errors import ConfigError

WRITTEN = "2026-11-30"
"""The day on which this table was written down."""
NOTE = f"List prices as of {WRITTEN}, mostly from memory. Check them before use."


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices of one region. A GB is 2^30 bytes, as AWS counts it; a month has 730 hours."""

    region: str
    s3_standard: tuple[tuple[float, float], ...]
    """(GB up to which it holds, $ for a GB-month), the last without end."""
    s3_standard_ia: float
    s3_glacier_instant: float
    s3_put_1k: float
    """1,000 PUT, COPY, POST or LIST requests."""
    s3_get_1k: float
    s3_ia_transition_1k: float
    s3_glacier_instant_transition_1k: float
    s3_ia_retrieval: float
    """A GB that is read."""
    s3_glacier_instant_retrieval: float
    sqs_million: float
    msk_broker_hour: dict[str, float]
    msk_storage: float
    """A GB-month of a broker's disk."""
    rds_hour: dict[str, float]
    """PostgreSQL in one zone. Multi-AZ is twice this."""
    rds_storage: float
    """A GB-month in one zone. Multi-AZ is twice this."""
    rds_backup: float
    eks_hour: float
    node_hour: dict[str, float]
    auto_mode_share: float
    """EKS Auto Mode: of the nodes' price."""
    ebs: float
    nat_hour: float
    nat: float
    endpoint_hour: float
    """An interface endpoint in one zone."""
    endpoint: float
    transit_attachment_hour: float
    transit: float
    vpn_hour: float
    data_out: float
    """A GB to the internet or through a VPN to a site."""
    cross_zone: float
    """A GB in each direction."""
    resolver_hour: float
    """An address of a Route 53 resolver's endpoint."""
    load_balancer_hour: float
    logs: float
    """A GB of CloudWatch Logs that arrives."""
    logs_stored: float
    alarm: float
    samples_10m: float
    """10 million samples of Amazon Managed Prometheus."""
    kms_key: float
    kms_10k: float
    secret: float
    private_ca: float
    """A private CA with short-lived certificates, a month."""
    ecr: float
    waf_acl: float
    kvs_ingest: float
    kvs_read_hls: float
    kvs_stored: float


US_EAST_1 = Prices(
    region="us-east-1",
    s3_standard=((51_200, 0.023), (512_000, 0.022), (float("inf"), 0.021)),
    s3_standard_ia=0.0125,
    s3_glacier_instant=0.004,
    s3_put_1k=0.005,
    s3_get_1k=0.0004,
    s3_ia_transition_1k=0.01,
    s3_glacier_instant_transition_1k=0.02,
    s3_ia_retrieval=0.01,
    s3_glacier_instant_retrieval=0.03,
    sqs_million=0.40,
    msk_broker_hour={"kafka.t3.small": 0.0456, "kafka.m7g.large": 0.204, "kafka.m7g.xlarge": 0.408},
    msk_storage=0.10,
    rds_hour={
        "db.t4g.medium": 0.065, "db.m7g.large": 0.168, "db.m7g.xlarge": 0.337,
        "db.m7g.2xlarge": 0.674, "db.m7g.4xlarge": 1.348,
    },
    rds_storage=0.115,
    rds_backup=0.095,
    eks_hour=0.10,
    node_hour={"m7i.large": 0.1008, "m7i.xlarge": 0.2016},
    auto_mode_share=0.12,
    ebs=0.08,
    nat_hour=0.045,
    nat=0.045,
    endpoint_hour=0.01,
    endpoint=0.01,
    transit_attachment_hour=0.05,
    transit=0.02,
    vpn_hour=0.05,
    data_out=0.09,
    cross_zone=0.01,
    resolver_hour=0.125,
    load_balancer_hour=0.0225,
    logs=0.50,
    logs_stored=0.03,
    alarm=0.10,
    samples_10m=0.90,
    kms_key=1.00,
    kms_10k=0.03,
    secret=0.40,
    private_ca=50.00,
    ecr=0.10,
    waf_acl=5.00,
    kvs_ingest=0.0085,
    kvs_read_hls=0.0119,
    kvs_stored=0.023,
)  # fmt: skip

EU_WEST_1 = replace(
    US_EAST_1,
    region="eu-west-1",
    msk_broker_hour={"kafka.t3.small": 0.0501, "kafka.m7g.large": 0.228, "kafka.m7g.xlarge": 0.456},
    msk_storage=0.11,
    rds_hour={
        "db.t4g.medium": 0.072, "db.m7g.large": 0.187, "db.m7g.xlarge": 0.375,
        "db.m7g.2xlarge": 0.750, "db.m7g.4xlarge": 1.499,
    },
    rds_storage=0.127,
    node_hour={"m7i.large": 0.1124, "m7i.xlarge": 0.2247},
    ebs=0.088,
    nat_hour=0.048,
    nat=0.048,
    endpoint_hour=0.011,
    load_balancer_hour=0.0252,
    logs=0.57,
)  # fmt: skip

EU_CENTRAL_1 = replace(
    US_EAST_1,
    region="eu-central-1",
    s3_standard=((51_200, 0.0245), (512_000, 0.0235), (float("inf"), 0.0225)),
    s3_standard_ia=0.0135,
    s3_glacier_instant=0.005,
    s3_put_1k=0.0054,
    s3_get_1k=0.00043,
    msk_broker_hour={"kafka.t3.small": 0.0522, "kafka.m7g.large": 0.240, "kafka.m7g.xlarge": 0.480},
    msk_storage=0.119,
    rds_hour={
        "db.t4g.medium": 0.076, "db.m7g.large": 0.197, "db.m7g.xlarge": 0.395,
        "db.m7g.2xlarge": 0.789, "db.m7g.4xlarge": 1.578,
    },
    rds_storage=0.137,
    node_hour={"m7i.large": 0.1208, "m7i.xlarge": 0.2415},
    ebs=0.0952,
    nat_hour=0.052,
    nat=0.052,
    endpoint_hour=0.012,
    transit_attachment_hour=0.06,
    load_balancer_hour=0.027,
    logs=0.63,
    kvs_ingest=0.0102,
    kvs_read_hls=0.01428,
    kvs_stored=0.0245,
)  # fmt: skip

REGIONS = {
    each.region: each
    for each in (US_EAST_1, replace(US_EAST_1, region="us-west-2"), EU_WEST_1, EU_CENTRAL_1)
}

SOURCES = {
    "S3": "https://aws.amazon.com/s3/pricing/",
    "SQS": "https://aws.amazon.com/sqs/pricing/",
    "MSK": "https://aws.amazon.com/msk/pricing/",
    "RDS": "https://aws.amazon.com/rds/postgresql/pricing/",
    "EKS": "https://aws.amazon.com/eks/pricing/",
    "EC2": "https://aws.amazon.com/ec2/pricing/on-demand/",
    "VPC: NAT gateways": "https://aws.amazon.com/vpc/pricing/",
    "Interface endpoints": "https://aws.amazon.com/privatelink/pricing/",
    "Transit gateway": "https://aws.amazon.com/transit-gateway/pricing/",
    "VPN": "https://aws.amazon.com/vpn/pricing/",
    "CloudWatch": "https://aws.amazon.com/cloudwatch/pricing/",
    "Managed Prometheus": "https://aws.amazon.com/prometheus/pricing/",
    "KMS": "https://aws.amazon.com/kms/pricing/",
    "Kinesis Video Streams": "https://aws.amazon.com/kinesis/video-streams/pricing/",
}
"""Where AWS publishes them."""

SEEN = {
    "kvs_ingest": "https://aws.amazon.com/de/kinesis/video-streams/pricing/",
    "kvs_read_hls": "https://aws.amazon.com/de/kinesis/video-streams/pricing/",
    "kvs_stored": "https://aws.amazon.com/de/kinesis/video-streams/pricing/",
    "transit_attachment_hour": "https://c3x.dev/blog/aws-transit-gateway-cost-explained/",
    "transit": "https://c3x.dev/blog/aws-transit-gateway-cost-explained/",
    "rds_storage": "https://www.usage.ai/blogs/aws/reserved-instances/rds/pricing-calculator/",
    "rds_backup": "https://www.usage.ai/blogs/aws/reserved-instances/rds/pricing-calculator/",
}
"""Figures for us-east-1 that were found on a page on that day, and where."""


def prices_of(region: str) -> Prices:
    """Return the prices of a region. Raises ConfigError for one that is not in the table."""
    if region not in REGIONS:
        raise ConfigError(
            f"There are no prices of {region}. Choose one of {', '.join(sorted(REGIONS))}, or add "
            "it to domain/cost/prices.py."
        )
    return REGIONS[region]
