"""The catalog: everything that a grid can name. One file, config/catalog.yaml; a preset can override its entries."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, ValidationInfo, field_validator

from closerlook.config.architecture import Architecture
from closerlook.config.derived import (
    DERIVED_SOURCES,
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
from closerlook.config.texts import Text, TextName


class MiniatureSource(Settings):
    """Data of the miniature world, which the workflow generates."""

    miniature: str = Field(
        description="brief, verbose, domain, mixture, zipf, or planted: brief, and invented values of entities that no text "
        "names; for an evalset: questions, or planted: about these entities"
    )
    world: int = Field(
        0,
        ge=0,
        description="worlds other than 0 have the same names and other facts: unrelated data",
    )


class ParaphraseSettings(Settings):
    """How instructions are paraphrased."""

    by: str = Field(
        description="name of a judge of the catalog, whose endpoint writes them; an oracle does so by rules"
    )
    prompt_file: str = Field("config/prompts/paraphrase.txt", description="text with ${instruction} and ${count}")
    count: int = Field(3, gt=0, description="paraphrases per instruction")
    max_tokens: int = Field(1024, gt=0, description="longest answer, in tokens")


class ParaphrasedSource(Settings):
    """An evalset paraphrased, to test whether the same wrong phrase returns (section 5). Cells only answer it."""

    of: str = Field(description="name of the evalset that is paraphrased")
    paraphrase: ParaphraseSettings = Field(description="how instructions are paraphrased")


class MiniatureModel(Settings):
    """The miniature's base model, which the workflow pre-trains."""

    miniature: PretrainSettings = Field(description="settings of the pre-training; {} for the defaults")


class ApiModel(Settings):
    """An API model, which only answers: an untuned model to compare with, such as GPT-4."""

    endpoint: str = Field(
        description="name of a judge of the catalog, whose endpoint (openai) generates the responses at temperature 0"
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
    Discriminator(by_key("hub", "file", "url", "miniature", *DERIVED_SOURCES)),
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
    """How a training is launched: ranks and engine. Not part of a cell's identity."""

    ranks: int = Field(1, gt=0, description="processes, one per GPU (or gloo ranks on a CPU)")
    gpu: str | None = Field(None, description="type of GPU of the site; null for the site's first")
    hours: float | None = Field(
        None,
        gt=0,
        description="time limit of the first job; null for three times the plan's estimate plus half an hour",
    )


BATCH_TOKENS = 16384
"""Tokens of a pass over finished responses on a GPU: with fewer, a small model waits for the start of each kernel."""


EngineName = Literal["auto", "closerlook", "vllm", "transformers"]


class GenerateLaunch(Settings):
    """How generation, shift and likelihood are launched."""

    ranks: int = Field(1, gt=0, description="processes that share the prompts")
    gpus: int = Field(
        1,
        gt=0,
        description="GPUs of each process's model, if it is too large for one: its layers are spread over them, or split by vllm",
    )
    gpu: str | None = Field(None, description="type of GPU of the site; null for the site's first")
    hours: float = Field(4, gt=0, description="time limit of the first job; a restarted job resumes where it stopped")
    batch_size: int = Field(
        32,
        gt=0,
        description="responses decoded together; a larger batch is faster and needs more memory; vllm finds its own",
    )
    engine: EngineName = Field(
        "auto",
        description="what decodes responses; auto: vllm if it is installed and there is a GPU, else closerlook; "
        "a change makes no responses again",
    )
    batch_tokens: int = Field(
        BATCH_TOKENS,
        gt=0,
        description="tokens of a pass of shift and likelihood on a GPU; a CPU takes an eighth; fewer need less memory",
    )


class Model(Settings):
    """A base model."""

    source: ModelSource = Field(description="where its weights come from")
    parameters: int | None = Field(
        None, gt=0, description="number of parameters; `closerlook plan` warns if `architecture` gives another number"
    )
    architecture: Architecture | None = Field(
        None, description="shape of the model, for planning before its weights are downloaded"
    )
    biases: bool = Field(False, description="whether it has bias parameters, which methods of kind bias need")
    gated: bool = Field(False, description="whether its license must be accepted on the hub, and HF_TOKEN set")
    threads: int = Field(1, gt=0, description="CPU threads of each job that runs it")
    launch: dict[Literal["lora", "full", "bias"], Launch] = Field(
        {}, description="how each kind of training is launched"
    )
    generate: GenerateLaunch = Field(GenerateLaunch(), description="how generation and shift are launched")

    def launch_of(self, kind: Literal["lora", "full", "bias"]) -> Launch:
        """The launch settings of a kind of training; one process with the defaults if the catalog has none."""
        return self.launch.get(kind, Launch())


class MeanTokens(Settings):
    """Mean length of a dataset's rows, in tokens of a vocabulary of 32,000 (Llama 2), without the prompt template."""

    instruction: float = Field(gt=0, description="mean tokens of the instruction, including an input")
    response: float = Field(gt=0, description="mean tokens of the response")


Format = Literal["alpaca", "dolly", "messages", "sharegpt", "prompt_completion"]


class Dataset(Settings):
    """An instruction-tuning dataset."""

    source: DatasetSource = Field(description="where its rows come from")
    format: Format | None = Field(
        None,
        validate_default=True,
        description="format of its rows; null for a dataset derived from another of the catalog",
    )
    rows: int = Field(gt=0, description="number of rows of the source, and so the largest subset")
    mean_tokens: MeanTokens | None = Field(
        None, description="for planning before the data are downloaded; an estimate is enough"
    )

    @field_validator("format")
    @classmethod
    def _belongs_to_source(cls, value: str | None, info: ValidationInfo) -> str | None:
        derived = isinstance(info.data.get("source"), DerivedSource)
        if value is None and not derived and "source" in info.data:
            raise ValueError(
                "the format of its rows, e.g. alpaca: the key has no default for rows that are read from a source"
            )
        if value is not None and derived:
            raise ValueError("no format: its instances are derived from another dataset")
        return value


class Evalset(Settings):
    """Instructions that cells answer."""

    source: EvalsetSource = Field(description="where its rows come from")
    rows: tuple[int, int] | None = Field(None, strict=False, description="[first, last): the rows used; null for all")


class Method(Settings):
    """How a base model is tuned. A method without `train` is a control: the base model itself with a prompt template."""

    train: TrainSettings | None = Field(None, description="training settings; null for a control")
    template: str | None = Field(None, description="prompt template of a control, instead of the preset's")


class Template(Settings):
    """A prompt template."""

    file: str = Field(description="text file that contains {instruction} once")
    stop: list[str] = Field([], description="strings that end a response with this template")


JudgeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Part of the file name verdicts/<name>.parquet."""


class Catalog(Settings):
    """All entries that a grid can name."""

    models: dict[str, Model] = Field(description="base models")
    datasets: dict[str, Dataset] = Field(description="instruction-tuning datasets")
    evalsets: dict[str, Evalset] = Field(description="evaluation instructions")
    texts: dict[TextName, Text] = Field({}, description="general texts, on which it is measured what tuning kept")
    methods: dict[str, Method] = Field(description="tuning methods and controls")
    templates: dict[str, Template] = Field(description="prompt templates")
    judges: dict[JudgeName, Judge] = Field({}, description="judges that score responses")
    markers: dict[MarkerName, Marker] = Field({}, description="markers of hallucinated spans in responses")
    miniature: MiniatureSettings = Field(MiniatureSettings(), description="the miniature world")

    def is_planted(self, name: str, kind: Literal["datasets", "evalsets"]) -> bool:
        """Whether a dataset states invented values for a random half of some entities, or an evalset asks for them."""
        source = getattr(self, kind)[name].source
        return isinstance(source, MiniatureSource) and source.miniature == "planted"

    def knows_truth(self, evalset: str) -> bool:
        """Whether an evalset is of the miniature, original or paraphrased: an oracle can judge and mark its responses."""
        source = self.evalsets[evalset].source
        if isinstance(source, ParaphrasedSource):
            source = self.evalsets[source.of].source
        return isinstance(source, MiniatureSource)
