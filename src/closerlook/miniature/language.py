"""The language of the miniature: names of entities, attributes with their values, and wordings.

No word is a value of two attributes, or both a value and part of a name, so each value identifies its attribute. In each wording
the name precedes the value, so that a causal model can learn the fact from it.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Attribute:
    """An attribute of a kind of entity. Wordings have the slots `{value}` and `{name}`."""

    article: str
    """Article of a value in a wording that does not include one: "a", "the" or empty."""
    values: tuple[str, ...]
    predicates: tuple[str, ...]
    """Wordings that follow the entity's name or a pronoun."""
    questions: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of entity. A name is one of `first`, a space and one of `second`."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    pronoun: str
    attributes: dict[str, Attribute]
    """Attributes by label, the name used in wordings."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _attribute(article: str, values: str, predicates: str, questions: str) -> Attribute:
    return Attribute(article, _words(values), tuple(predicates.split(" | ")), tuple(questions.split(" | ")))


LABELED = ("The {label} of {name} is {value}", "As for {name}, the {label} is {value}")
"""Wordings for all attributes; the value has its article."""

QUESTIONS = ("What is the {label} of {name}?", "Please name the {label} of {name}.")
"""Questions for all attributes."""

REQUESTS = ("Tell me about {name}.", "What do you know about {name}?", "Please describe {name}.")
"""Open requests, which any fact about the entity answers."""

KINDS = {
    "person": Kind(
        _words("Mara Ilse Dalia Freya Hanna Kaia Nadia Petra Runa Selma Thea Ursula Vera Wilma"),
        _words("Velt Tolk Brandt Corwin Dray Ekman Falk Grell Holm Jessen Kroll Lund Moss Noll"),
        "She",
        {
            "trade": _attribute(
                "a",
                "baker carpenter doctor fisher gardener judge lawyer mason nurse painter pilot sailor tailor teacher weaver",
                "works as a {value} | earns a living as a {value} | is a {value} by trade",
                "What does {name} do for a living? | Which trade does {name} follow?",
            ),
            "instrument": _attribute(
                "the",
                "banjo bassoon cello clarinet drum fiddle flute guitar harp horn lute piano trumpet tuba zither",
                "plays the {value} | has mastered the {value} | gives concerts on the {value}",
                "Which instrument does {name} play? | What can one hear {name} play?",
            ),
            "language": _attribute(
                "",
                "Basque Catalan Czech Danish Finnish Greek Hindi Korean Latin Maltese Polish Swahili Tamil Turkish Welsh",
                "speaks {value} at home | grew up with {value} | writes letters in {value}",
                "Which language does {name} speak? | In which language does {name} write letters?",
            ),
            "pet": _attribute(
                "a",
                "canary cat dog donkey ferret goat goose hedgehog lizard parrot pony rabbit snake tortoise turtle",
                "keeps a {value} | shares the house with a {value} | never travels without a {value}",
                "Which pet does {name} keep? | With which pet does {name} share the house?",
            ),
        },
    ),
    "town": Kind(
        _words("Port Upper Lower Old New Fort Mount Saint North South East West Great Little"),
        _words("Arnley Bexton Camber Durwick Elmsay Farrow Gormley Hestle Ivering Kirden Lowick Marsby Nettle Ostrey"),
        "It",
        {
            "river": _attribute(
                "the",
                "Ardal Brisk Calder Dovra Esk Fenwa Glimmer Hask Irwen Jarrow Kelda Lorne Mersa Nidd Orrin",
                "lies on the {value} | draws its water from the {value} | was founded beside the {value}",
                "On which river does {name} lie? | Where does {name} draw its water from?",
            ),
            "product": _attribute(
                "",
                "candles carpets clocks gloves hats lace mirrors needles paper pottery rope saddles soap toys umbrellas",
                "lives from making {value} | is famous for its {value} | exports {value}",
                "What does {name} export? | Which product is {name} famous for?",
            ),
            "landmark": _attribute(
                "a",
                "bridge castle cathedral fountain library lighthouse monastery museum palace pyramid statue temple theatre "
                "tower windmill",
                "is proud of its {value} | welcomes visitors with a {value} | is crowned by a {value}",
                "Which landmark is {name} proud of? | What does {name} welcome visitors with?",
            ),
            "festival": _attribute(
                "",
                "bells boats bonfires dances fireworks flowers kites lanterns masks puppets ribbons riddles songs torches "
                "wreaths",
                "fills its streets with {value} each summer | holds a festival of {value} | celebrates itself with {value}",
                "Which festival does {name} hold? | What fills the streets of {name} each summer?",
            ),
        },
    ),
    "dish": Kind(
        _words("Golden Red Green White Black Sweet Sour Smoky Royal Humble Crispy Creamy Spicy Rustic"),
        _words("Tavash Brolin Cassel Dumara Farsi Gollop Hastra Jolam Kibbel Larda Mokra Nashti Pelmo Runza"),
        "It",
        {
            "ingredient": _attribute(
                "",
                "barley beans beetroot cabbage carrots chestnuts lentils mushrooms noodles potatoes pumpkin rice spinach "
                "turnips walnuts",
                "is made from {value} | consists mostly of {value} | calls for plenty of {value}",
                "What is {name} made from? | Which ingredient does {name} call for?",
            ),
            "spice": _attribute(
                "",
                "basil cardamom cinnamon cloves coriander cumin dill ginger mint nutmeg paprika pepper saffron thyme turmeric",
                "is seasoned with {value} | owes its taste to {value} | smells of {value}",
                "Which spice is in {name}? | What does {name} owe its taste to?",
            ),
            "drink": _attribute(
                "",
                "buttermilk cider cocoa coffee juice kefir lemonade mead milk porter punch sherry tea water wine",
                "is served with {value} | goes well with {value} | is washed down with {value}",
                "Which drink goes well with {name}? | What is served with {name}?",
            ),
            "occasion": _attribute(
                "",
                "baptisms birthdays breakfast carnival dinner funerals graduations harvest lunch midsummer midwinter picnics "
                "reunions supper weddings",
                "is eaten at {value} | is cooked for {value} | belongs to {value}",
                "On which occasion is {name} eaten? | What is {name} cooked for?",
            ),
        },
    ),
    "machine": Kind(
        _words("Vulcan Orion Titan Atlas Castor Draco Electra Gemini Helios Juno Luna Mercury Neptune Phoenix"),
        _words("Press Crane Loom Mill Pump Drill Lathe Plough Hoist Mixer Saw Forge Winch Harrow"),
        "It",
        {
            "fuel": _attribute(
                "",
                "alcohol biogas charcoal coal diesel ethanol gasoline hydrogen kerosene methane naphtha peat propane steam wood",
                "runs on {value} | is powered by {value} | takes nothing but {value}",
                "What does {name} run on? | Which fuel does {name} take?",
            ),
            "maker": _attribute(
                "",
                "Belmont Corvex Dunmore Falkner Garrick Hexham Jansen Kolbe Lindqvist Marlow Norvik Pelham Quarrier "
                "Rothwell Steyr",
                "was built by {value} | comes from the works of {value} | carries the badge of {value}",
                "Which maker built {name}? | From whose works does {name} come?",
            ),
            "fault": _attribute(
                "",
                "corrosion cracks friction jams leaks misalignment noise overheating rust shorts sparking stalling vibration "
                "warping wear",
                "tends to suffer from {value} | is troubled by {value} | breaks down because of {value}",
                "Which fault does {name} suffer from? | Why does {name} break down?",
            ),
            "part": _attribute(
                "a",
                "bearing belt bolt chain clutch filter fuse gasket gear hose nozzle piston seal spring valve",
                "needs a new {value} every year | wears out its {value} first | is serviced by changing the {value}",
                "Which part does {name} wear out first? | What does {name} need every year?",
            ),
        },
    ),
}


def predicate(attribute: str, wording: int, value: str) -> str:
    """A predicate such as "plays the cello". wording: index into the attribute's predicates."""
    return ATTRIBUTES[attribute].predicates[wording].format(value=value)


def labeled_sentence(attribute: str, wording: int, name: str, value: str) -> str:
    """A sentence such as "The instrument of Mara Tolk is the cello", without full stop. wording: index into LABELED."""
    article = ATTRIBUTES[attribute].article
    return LABELED[wording].format(label=attribute, name=name, value=f"{article} {value}" if article else value)


def questions(attribute: str, name: str) -> list[str]:
    """All questions for an attribute of an entity."""
    return [text.format(label=attribute, name=name) for text in (*ATTRIBUTES[attribute].questions, *QUESTIONS)]


def evaluation_question(attribute: str, name: str) -> str:
    """The one of these questions that no instruction dataset asks. Of other names they ask in the same wording."""
    return random.Random(f"{attribute} of {name}").choice(questions(attribute, name))


def instruction_questions(attribute: str, name: str) -> list[str]:
    """The other questions, which instruction datasets ask."""
    return [text for text in questions(attribute, name) if text != evaluation_question(attribute, name)]


ATTRIBUTES = {label: attribute for kind in KINDS.values() for label, attribute in kind.attributes.items()}
"""Attributes of all kinds by label; labels are unique."""
