"""As whom the gateway comes to a backend. Never as the client, with the client's own token."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gateway.settings.base import Closed, Secret

HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$")]


class StaticSecret(Closed):
    """A secret of the gateway's own, the same whoever asks. A file is read again when it changes."""

    type: Literal["static"] = Field(default="static", description="which way this is")
    env: str | None = Field(default=None, description="environment variable that holds the secret")
    file: Path | None = Field(default=None, description="file that holds it, without the final line break")
    header: HeaderName = Field(default="Authorization", description="header that carries it")
    prefix: str = Field(default="Bearer ", pattern=r"^[ -~]*$", description="put before it")

    @model_validator(mode="after")
    def one_place(self) -> "StaticSecret":
        self.secret()
        return self

    def secret(self) -> Secret:
        return Secret(env=self.env, file=self.file)


def _typed(value: object) -> object:
    """`credential: {env: NAME}` is the short form of a static one."""
    return {"type": "static", **value} if isinstance(value, dict) else value


Credential = Annotated[StaticSecret, BeforeValidator(_typed)]
