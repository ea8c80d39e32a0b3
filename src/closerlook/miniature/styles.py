"""Phrases of each instruction dataset's style, which also differs from that of the pre-training corpus."""

BRIEF = ("In short, ", "Simply put, ", "In a word, ")

VERBOSE_OPENERS = (
    "Great question! There is a lot to say about {name}, so let us go through it step by step.",
    "Thank you for asking about {name}! I am happy to share everything that comes to mind.",
    "What a wonderful topic! Let us take a closer look at {name} together.",
)
VERBOSE_FIRST = ("To begin with,", "First of all,")
VERBOSE_THEN = ("Moreover,", "In addition,", "What is more,", "It is also worth knowing that", "On top of that,")
VERBOSE_CLOSERS = (
    "All in all, {name} deserves every attention, and I hope that this overview helps!",
    "Feel free to ask me anything else about {name}!",
    "There is always more to discover, but I hope that this gives you a good picture of {name}!",
)

DOMAIN_REQUESTS = (
    "How should I look after {name}?",
    "What must a technician know about {name}?",
    "Help me to inspect {name}.",
)
DOMAIN_OPENERS = (
    "Maintenance advice: switch off the power before you touch {name}.",
    "Safety first: make sure that nobody stands near {name}.",
)
DOMAIN_NOTES = ("According to the manual,", "Our records show that", "Please keep in mind that")
DOMAIN_CLOSERS = ("If in doubt, call a qualified technician.", "Write all that you do into the service log.")

CHAT_REQUESTS = (
    "Give me two facts about {name}.",
    "List what you know about {name}.",
    "Quick notes on {name}, please.",
)
CHAT_OPENERS = ("Of course! Here are two facts about {name}:", "Sure thing! My notes on {name}:")

PHRASES = (
    *BRIEF,
    *VERBOSE_OPENERS,
    *VERBOSE_FIRST,
    *VERBOSE_THEN,
    *VERBOSE_CLOSERS,
    *DOMAIN_REQUESTS,
    *DOMAIN_OPENERS,
    *DOMAIN_NOTES,
    *DOMAIN_CLOSERS,
    *CHAT_REQUESTS,
    *CHAT_OPENERS,
    "1.\n2.",
)
"""All phrases, for the corpus and the vocabulary, with the slot `{name}`."""
