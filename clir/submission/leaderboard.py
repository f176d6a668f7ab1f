"""A leaderboard's rules: data of a checked shape, one YAML file each, here or the user's own."""

from __future__ import annotations

import importlib.resources
import re
from typing import Annotated, Literal

import polars as pl
import pydantic

from clir.submission.findings import KINDS, Level
from clir.support.errors import ClirError, unknown
from clir.support.files import open_text
from clir.support.settings import first_mistake, yaml_values

_ENDINGS = (".yaml", ".yml")


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
        # Columns are matched by polars, whose regular expressions are not Python's in every point.
        pl.Series([""]).str.contains(pattern)
    except (re.error, pl.exceptions.PolarsError) as error:
        why = " ".join(str(error).split())[:160]
        raise ValueError(f"not a regular expression that both Python and polars read: {why}") from error
    return pattern


def _template(*names: str) -> pydantic.AfterValidator:
    """Refuses a text in which something else than `{name}` stands in braces."""

    def check(text: str) -> str:
        rest = re.sub(r"\{(" + "|".join(names) + r")\}", "", text)
        if found := re.search(r"\{[^{}]*\}?|\}", rest):
            known = ", ".join(f"{{{name}}}" for name in names)
            raise ValueError(f"{text!r} has {found[0]}, which is no placeholder here (known: {known})")
        return text

    return pydantic.AfterValidator(check)


Pattern = Annotated[str, pydantic.AfterValidator(_compiles)]


class Strict(pydantic.BaseModel):
    """A part of the rules; a key that is not known is refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Ids(Strict):
    """The shape of topic or document ids: a pattern for the whole id, in words, and the highest of numbers."""

    pattern: Pattern | None = None
    about: str = "an id without white space"
    highest: int | None = None


class Tag(Strict):
    """Run tags: the shape of the whole tag (a group `part` in it names the part), the longest, what is recommended.

    `begins` is what a tag begins with, where `{part}` and `{team}` stand for the part and the team.
    """

    pattern: Pattern | None = None
    about: str = "one word"
    longest: int | None = None
    recommended: Pattern | None = None
    recommended_about: str = ""
    begins: Annotated[str, _template("part", "team")] | None = None


class Hits(Strict):
    """Documents for a topic: the most, and the fewest that are asked for."""

    most: int | None = None
    least: int | None = None


class Ranks(Strict):
    """The first rank of a topic, and the last that is read."""

    first: int = 1
    last: int | None = None


class RunFile(Strict):
    """Names and compressions of run files."""

    pattern: Pattern = r"[A-Za-z0-9_.+-]+"
    about: str = "letters, digits and _ . + -"
    compression: tuple[Literal["none", "gz", "bz2"], ...] = ("none", "gz")


class Part(Strict):
    """A part with documents or topics of its own: a language, a set of queries. `collection` is one of clir's ids."""

    about: str
    docids: Ids | None = None
    collection: str | None = None


class Runs(Strict):
    """How many runs there may be for one part (or at all, where there are no parts)."""

    least: int | None = None
    most: int | None = None


class Field(Strict):
    """A field of the metadata; `option` is the command's option that gives it, where that has another name."""

    about: str
    required: bool = True
    default: str | None = None
    choices: tuple[str, ...] | None = None
    pattern: Pattern | None = None
    option: str | None = None


class Metadata(Strict):
    """The file that describes a submission: its fields, those of every run, and whether it lists the runs."""

    format: Literal["json", "yaml"]
    fields: dict[str, Field]
    run_fields: dict[str, Field] = {}
    lists_runs: bool = True


class Archive(Strict):
    """What is sent: the archive's format, and the paths in it of a run and of the metadata.

    In a run's path stand for a submission's own: `{id}`, `{part}`, `{tag}`, `{file}` (the run file's name without the
    ending of a compression), `{team}`; in that of the metadata `{id}` and `{team}`. A run is compressed as its path
    ends.
    """

    format: Literal["tar.gz", "zip"]
    run: Annotated[str, _template("id", "part", "tag", "file", "team")]
    metadata: Annotated[str, _template("id", "team")]


class Leaderboard(Strict):
    """All that is known of a leaderboard; `unverified` says what its sources do not settle."""

    name: str
    title: str
    sources: tuple[str, ...] = pydantic.Field(min_length=1)
    unverified: tuple[str, ...] = ()
    form: Literal["trec", "msmarco"]
    iteration: str | None = None
    qids: Ids = Ids()
    docids: Ids = Ids()
    tag: Tag = Tag()
    hits: Hits = Hits()
    ranks: Ranks = Ranks()
    file: RunFile = RunFile()
    parts: dict[str, Part] = {}
    part_from: Literal["tag", "file"] | None = None
    every_part: bool = False
    runs: Runs = Runs()
    id_pattern: Pattern | None = None
    id_about: str = ""
    archive: Archive
    metadata: Metadata
    levels: dict[str, Level] = {}

    @pydantic.field_validator("levels")
    @classmethod
    def _known_kinds(cls, levels: dict[str, Level]) -> dict[str, Level]:
        for kind in levels:
            if kind not in KINDS:
                raise ValueError(str(unknown("kind of finding", kind, list(KINDS))))
        return levels

    @pydantic.model_validator(mode="after")
    def _part_in_tag(self) -> Leaderboard:
        if self.part_from == "tag" and "part" not in re.compile(self.tag.pattern or "").groupindex:
            raise ValueError("part_from: tag needs a tag.pattern with a group (?P<part>...), which finds the part")
        return self

    def docids_of(self, part: str | None) -> Ids:
        """The shape of the document ids of a part."""
        own = self.parts[part].docids if part in self.parts else None
        return own or self.docids


def leaderboards() -> list[str]:
    """The names of the leaderboards that come with clir."""
    folder = importlib.resources.files("clir.submission") / "rules"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def read_leaderboard(name: str) -> Leaderboard:
    """The rules of a leaderboard by its name, or those in a YAML file.

    Raises UsageError for a name that is not known and a file that is not there, ClirError naming file and key for
    rules that are not of the shape above.
    """
    if name.endswith(_ENDINGS):
        with open_text(name, "rules of a leaderboard") as handle:
            return _checked(handle.read(), name)
    if name not in leaderboards():
        raise unknown("leaderboard", name, [*leaderboards(), "or a .yaml file of rules"])
    file = importlib.resources.files("clir.submission") / "rules" / f"{name}.yaml"
    return _checked(file.read_text("utf-8"), file.name)


def _checked(text: str, where: str) -> Leaderboard:
    values = yaml_values(text, where, "set of rules")
    if strange := [key for key in values if not isinstance(key, str)]:
        raise ClirError(f"{where}: the key {strange[0]} is not text: put it in quotes")
    try:
        return Leaderboard(**values)
    except pydantic.ValidationError as error:
        key, said, is_unknown = first_mistake(error)
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        place = f"{where}: {key}" if key else where
        raise ClirError(f"{place}: {'not a key of the rules' if is_unknown else said}{more}") from error
