"""What a model is asked to write in the measure of objects that grow."""

from pydantic import BaseModel


class Stop(BaseModel):
    """Somewhere on the way."""

    place: str
    days: int
    ships: list[str]
    remarks: str


class Voyage(BaseModel):
    """A voyage."""

    captain: str
    stops: list[Stop]
