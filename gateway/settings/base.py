"""What every group of settings is made of: closed models, units in names, and secrets that are only named."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

BackendName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,23}$")]
SurfaceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 — to be told from addresses that somebody can connect to
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]  # RFC 6749 3.3
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(Closed):
    """Where a secret is: the name of an environment variable, or a file. Never the secret itself."""

    env: str | None = Field(default=None, description="environment variable that holds it")
    file: Path | None = Field(default=None, description="file that holds it, without the final line break")

    @model_validator(mode="after")
    def one_place(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise ValueError("name exactly one of `env` and `file`")
        return self
