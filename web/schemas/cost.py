"""What the installation costs a month by list prices."""

from typing import Annotated, Literal

from pydantic import Field

from domain.cost.bill import Purpose, Scale
from domain.cost.measured import Source
from domain.cost.workload import StorageClass, Uplink
from web.schemas.base import ApiAnswer, ApiQuery
from web.schemas.parameters import decimal_number, whole_number

Environment = Literal["production", "dev"]
Region = Literal["us-east-1", "us-west-2", "eu-west-1", "eu-central-1"]
InputName = Literal[
    "sites", "cameras_per_site", "mbit_s", "retention_days", "uploaded_share", "uplink",
    "fragment_s", "runs_per_day", "detections_per_hour", "watched_hours", "cold_class",
    "cold_after_days", "environment", "region",
]  # fmt: skip
Usd = Annotated[float, Field(json_schema_extra={"unit": "USD a month"})]

_AS_IS = "Default: as the installation is."


class CostQuery(ApiQuery):
    """What is asked: the installation as it is, with each given input in place of its own."""

    sites: Annotated[int, *whole_number(1, 100_000)] | None = Field(
        None, description=f"How many sites. {_AS_IS}"
    )
    cameras_per_site: Annotated[float, *decimal_number(1, 1_000)] | None = Field(
        None, description=f"Cameras of a site on average. {_AS_IS}"
    )
    mbit_s: Annotated[float, *decimal_number(0.01, 200)] | None = Field(
        None, description=f"10^6 bits a second of one camera. {_AS_IS}"
    )
    retention_days: Annotated[int, *whole_number(1, 36_500)] | None = Field(
        None, description=f"How long footage is kept, days. {_AS_IS}"
    )
    uploaded_share: Annotated[float, *decimal_number(0.001, 1)] | None = Field(
        None, description=f"Share of the time that is uploaded: 0.2 for events alone. {_AS_IS}"
    )
    uplink: Uplink | None = Field(None, description="How footage reaches S3. Default: vpn.")
    fragment_s: Annotated[float, *decimal_number(2, 10)] | None = Field(
        None, description=f"Length of a fragment, s. {_AS_IS}"
    )
    runs_per_day: Annotated[float, *decimal_number(0, 100_000)] | None = Field(
        None, description="How often a camera's recording starts again. Default: 1."
    )
    detections_per_hour: Annotated[float, *decimal_number(0, 100_000)] | None = Field(
        None, description="Batches of detections of a camera. Default: 60."
    )
    watched_hours: Annotated[float, *decimal_number(0, 730)] | None = Field(
        None, description="Hours of a camera that people watch in a month. Default: 2."
    )
    cold_class: StorageClass | None = Field(
        None, description="S3's class for older footage. Default: standard."
    )
    cold_after_days: Annotated[int, *whole_number(0, 36_500)] | None = Field(
        None, description="From this age on footage is in `cold_class`, days. Default: 30."
    )
    environment: Environment | None = Field(
        None, description="Sizes of databases and brokers, as in Terraform. Default: production."
    )
    region: Region | None = Field(
        None, description="Whose prices. Default: that of the settings, if it is in the table."
    )


class CostInputs(ApiAnswer):
    """What a bill is computed of."""

    sites: int = Field(description="How many sites.")
    cameras_per_site: float = Field(description="Cameras of a site on average.")
    mbit_s: float = Field(description="10^6 bits a second of one camera, while it records.")
    retention_days: int = Field(description="How long footage is kept, days.")
    uploaded_share: float = Field(description="Share of the time that is uploaded.")
    uplink: Uplink = Field(description="How footage reaches S3.")
    fragment_s: float = Field(description="Length of a fragment, s.")
    runs_per_day: float = Field(description="How often a camera's recording starts again.")
    detections_per_hour: float = Field(description="Batches of detections of a camera.")
    watched_hours: float = Field(description="Hours of a camera that are watched in a month.")
    cold_class: StorageClass = Field(description="S3's class for older footage.")
    cold_after_days: int = Field(description="From this age on footage is in `cold_class`.")
    environment: Environment = Field(description="Sizes of databases and brokers.")
    region: Region = Field(description="Whose prices.")


class InputSource(ApiAnswer):
    """Where an input is from."""

    name: InputName = Field(description="Which input.")
    source: Source = Field(
        description="`measured`: by the catalog. `setting`: a rule or setting of the installation. "
        "`assumed`: nothing here knows it. `given`: by the query."
    )


class ServiceCost(ApiAnswer):
    """A service of AWS."""

    service: str = Field(description="Its name.")
    usd: Usd = Field(description="All of it.")
    fixed_usd: Usd = Field(description="Without any site.")
    sites_usd: Usd = Field(description="What follows from the sites.")
    cameras_usd: Usd = Field(description="What follows from the cameras.")


class PurposeCost(ApiAnswer):
    """What some lines are for."""

    purpose: Purpose = Field(description="`added`: all that Vigil adds.")
    text: str = Field(description="The same in words.")
    usd: Usd = Field(description="What it costs.")


class CostLine(ApiAnswer):
    """A line of the bill."""

    service: str = Field(description="The service of AWS.")
    what: str = Field(description="What is paid.")
    scale: Scale = Field(description="What it follows from. `installation`: it is fixed.")
    purpose: Purpose = Field(description="What it is for.")
    amount: float = Field(description="How much of the unit.")
    unit: str = Field(description="Of the amount.")
    usd: Usd = Field(description="Amount times price.")


class CostLever(ApiAnswer):
    """A change of one thing, and what it saves. Levers do not add up."""

    name: str = Field(description="What is changed.")
    change: str = Field(description="From what to what.")
    effect: str = Field(description="What else it does.")
    available: bool = Field(description="Settings alone do it. false: Vigil has to be changed.")
    saves_usd: Usd = Field(description="Less than 0: it costs more.")
    saves_share: float = Field(description="Of all.")


class CostEstimate(ApiAnswer):
    """What an installation costs a month by list prices: no bill, no discount, no tax."""

    inputs: CostInputs = Field(description="What it is computed of.")
    own: CostInputs = Field(description="The installation as it is.")
    sources: list[InputSource] = Field(description="Of each of `inputs`.")
    notes: list[str] = Field(description="What a reader must know of the measured inputs.")
    cameras: int = Field(description="All cameras.")
    usd: Usd = Field(description="All of it.")
    own_usd: Usd = Field(description="All of it for the installation as it is.")
    fixed_usd: Usd = Field(description="What runs without any site.")
    variable_usd: Usd = Field(description="What follows from sites and cameras.")
    per_site_usd: Usd = Field(description="One more site, without its cameras.")
    per_camera_usd: Usd = Field(description="One more camera.")
    services: list[ServiceCost] = Field(description="The dearest first.")
    purposes: list[PurposeCost]
    added_share: float = Field(description="What Vigil adds, of all.")
    kinesis_video_usd: Usd = Field(
        description="Kinesis Video Streams for the same footage, without transport and sites."
    )
    comparable_usd: Usd = Field(description="This installation without transport and sites.")
    lines: list[CostLine]
    levers: list[CostLever] = Field(description="Those that save most first.")
    sub_stream_mbit_s: float = Field(description="A usual rate of a camera's sub stream.")
    prices_written: str = Field(description="The day on which the prices were written down.")
    prices_note: str = Field(description="How far they can be trusted.")
    regions: list[Region] = Field(description="Regions with prices.")
