"""The catalog: everything a grid can name. One file, config/catalog.yaml, which a preset may override entry by entry."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, ValidationInfo, field_validator

from closerlook.config.architecture import Architecture
from closerlook.config.derived import (
    DERIVED,
    AblatedSource,
    DerivedSource,
    LongestSource,
    ScoredSource,
    SimplifiedSource,
)
from closerlook.config.judges import Judge
from closerlook.config.markers import Marker, MarkerName
from closerlook.config.settings import (
    EngineSettings,
    FileSource,
    FolderModel,
    GgufPackageModel,
    HubModel,
    HubSource,
    MiniatureSettings,
    PretrainSettings,
    Settings,
    TrainSettings,
    WebSource,
    by_key,
)


class MiniatureSource(Settings):
    """Data of the miniature world, which the workflow makes itself."""

    miniature: str = Field(description="brief, verbose, domain or mixture; questions for an evalset")
    world: int = Field(0, ge=0, description="another world than 0 has the same names and other facts: unrelated data")


class ParaphraseSettings(Settings):
    """How instructions are put in other words."""

    by: str = Field(description="name of a judge of the catalog, whose endpoint writes them; an oracle does by rules")
    prompt_file: str = Field("config/prompts/paraphrase.txt", description="text that holds ${instruction} and ${count}")
    count: int = Field(3, gt=0, description="paraphrases per instruction")
    max_tokens: int = Field(1024, gt=0, description="longest answer, in tokens")


class ParaphrasedSource(Settings):
    """An evalset in other words: does the same wrong phrase return? (section 5). Its cells only answer it."""

    of: str = Field(description="name of the evalset it is made from")
    paraphrase: ParaphraseSettings = Field(description="how")


class MiniatureModel(Settings):
    """The miniature's base model, which the workflow pre-trains itself."""

    miniature: PretrainSettings = Field(description="how it is pre-trained; {} for the defaults")


class ApiModel(Settings):
    """A model behind an endpoint, which only answers: an untuned comparison, such as GPT-4."""

    endpoint: str = Field(
        description="name of a judge of the catalog, whose endpoint (openai) answers, at temperature 0"
    )


EvalsetSource = Annotated[
    Annotated[HubSource, Tag("hub")]
    | Annotated[FileSource, Tag("file")]
    | Annotated[MiniatureSource, Tag("miniature")]
    | Annotated[ParaphrasedSource, Tag("paraphrase")],
    Discriminator(by_key("hub", "file", "miniature", "paraphrase")),
]
DatasetSource = Annotated[
    Annotated[HubSource, Tag("hub")]
    | Annotated[FileSource, Tag("file")]
    | Annotated[WebSource, Tag("url")]
    | Annotated[MiniatureSource, Tag("miniature")]
    | Annotated[SimplifiedSource, Tag("simplify")]
    | Annotated[LongestSource, Tag("longest")]
    | Annotated[ScoredSource, Tag("minimum_score")]
    | Annotated[AblatedSource, Tag("without")],
    Discriminator(by_key("hub", "file", "url", "miniature", *DERIVED)),
]
ModelSource = Annotated[
    Annotated[HubModel, Tag("hub")]
    | Annotated[FolderModel, Tag("folder")]
    | Annotated[GgufPackageModel, Tag("gguf_package")]
    | Annotated[MiniatureModel, Tag("miniature")]
    | Annotated[ApiModel, Tag("endpoint")],
    Discriminator(by_key("hub", "folder", "gguf_package", "miniature", "endpoint")),
]


class Launch(EngineSettings):
    """How a training is launched: its ranks and its engine. Never part of a cell's identity."""

    ranks: int = Field(1, gt=0, description="processes, one per GPU (or gloo ranks on a CPU)")
    gpu: str | None = Field(None, description="type of GPU of the site; the site's first when left out")
    hours: float | None = Field(
        None,
        gt=0,
        description="time limit to ask for at first; when left out, three times the plan's estimate and half an hour",
    )


class GenerateLaunch(Settings):
    """How generation and shift are launched."""

    ranks: int = Field(1, gt=0, description="processes that share the prompts")
    gpus: int = Field(
        1,
        gt=0,
        description="GPUs that the model of each process is spread over, layer by layer, where one cannot hold it",
    )
    gpu: str | None = Field(None, description="type of GPU of the site; the site's first when left out")
    hours: float = Field(4, gt=0, description="time limit to ask for at first; it goes on where it stopped")
    batch_size: int = Field(32, gt=0, description="responses decoded together; more is faster and takes more memory")


class Model(Settings):
    """A base model."""

    source: ModelSource = Field(description="where its weights come from")
    parameters: int | None = Field(
        None, gt=0, description="number of parameters; `closerlook plan` warns where `architecture` gives another"
    )
    architecture: Architecture | None = Field(
        None, description="the shape of the model, for planning before its weights are here"
    )
    biases: bool = Field(False, description="has bias parameters, so that method kind bias can train it")
    gated: bool = Field(False, description="its licence must be accepted on the hub, and HF_TOKEN set")
    threads: int = Field(1, gt=0, description="CPU threads of each job that runs it")
    launch: dict[Literal["lora", "full", "bias"], Launch] = Field({}, description="launch of each kind of training")
    generate: GenerateLaunch = Field(GenerateLaunch(), description="launch of generation")

    def launch_of(self, kind: Literal["lora", "full", "bias"]) -> Launch:
        """How this kind of training is launched: as written, or as one process with the defaults."""
        return self.launch.get(kind, Launch())


class MeanTokens(Settings):
    """Mean length of a dataset's rows, in tokens of a vocabulary of 32,000 (Llama 2), without the prompt template."""

    instruction: float = Field(gt=0, description="of the instruction, an input included")
    response: float = Field(gt=0, description="of the response")


Format = Literal["alpaca", "dolly", "messages", "sharegpt", "prompt_completion"]


class Dataset(Settings):
    """An instruction-tuning dataset."""

    source: DatasetSource = Field(description="where its rows come from")
    format: Format | None = Field(
        None,
        validate_default=True,
        description="shape of its rows; none for a dataset made from another of the catalog",
    )
    rows: int = Field(gt=0, description="rows of the source: no larger subset can be asked for")
    mean_tokens: MeanTokens | None = Field(
        None, description="for planning before the data are here; an estimate will do"
    )

    @field_validator("format")
    @classmethod
    def _belongs_to_source(cls, value: str | None, info: ValidationInfo) -> str | None:
        derived = isinstance(info.data.get("source"), DerivedSource)
        if value is None and not derived and "source" in info.data:
            raise ValueError(
                "the shape of its rows, e.g. alpaca: the key has no default where rows are read from a source"
            )
        if value is not None and derived:
            raise ValueError("no format: its instances come from another dataset")
        return value


class Evalset(Settings):
    """Instructions that cells answer."""

    source: EvalsetSource = Field(description="where its rows come from")
    rows: tuple[int, int] | None = Field(
        None, strict=False, description="[first, last): the rows used; all when left out"
    )


class Method(Settings):
    """What is done to a base model. Without `train` it is a control: the base model itself, under some prompt template."""

    train: TrainSettings | None = Field(None, description="training settings; none for a control")
    template: str | None = Field(None, description="prompt template that a control uses instead of the preset's")


class Template(Settings):
    """A prompt template."""

    file: str = Field(description="text file that holds {instruction} once")
    stop: list[str] = Field([], description="strings that end a response under this template")


JudgeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Verdicts lie in verdicts/<name>.parquet, and grid.csv names a cell's judges between spaces."""


class Catalog(Settings):
    """All that a grid can name."""

    models: dict[str, Model] = Field(description="base models")
    datasets: dict[str, Dataset] = Field(description="instruction-tuning datasets")
    evalsets: dict[str, Evalset] = Field(description="evaluation instructions")
    methods: dict[str, Method] = Field(description="tuning methods and controls")
    templates: dict[str, Template] = Field(description="prompt templates")
    judges: dict[JudgeName, Judge] = Field({}, description="judges that score responses")
    markers: dict[MarkerName, Marker] = Field({}, description="who marks the spans of responses that are hallucinated")
    miniature: MiniatureSettings = Field(MiniatureSettings(), description="the miniature world")

    def knows_truth(self, evalset: str) -> bool:
        """Whether an evalset asks of the miniature, in whatever words: an oracle can judge and mark its answers."""
        source = self.evalsets[evalset].source
        if isinstance(source, ParaphrasedSource):
            source = self.evalsets[source.of].source
        return isinstance(source, MiniatureSource)
