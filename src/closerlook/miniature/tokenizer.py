"""A word-level tokenizer that encodes unknown words as bytes.

A token includes the space before the word, so `decode(encode(text)) == text` for every string.
"""

from string import punctuation

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from closerlook.miniature.language import ATTRIBUTES, KINDS, LABELED, QUESTIONS, REQUESTS
from closerlook.miniature.styles import PHRASES

BOS, EOS, PAD = "<s>", "</s>", "<pad>"


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The miniature's tokenizer, the same for all worlds: about 1,200 tokens, 256 of them bytes."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces = {piece for text in _texts() for piece, _ in split.pre_tokenize_str(text)}
    tokens = [BOS, EOS, PAD, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokens += sorted(pieces - set(tokens))
    # Without merges, BPE splits text into bytes; ignore_merges keeps pieces that are in the vocabulary.
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, vocabulary[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, clean_up_tokenization_spaces=False
    )


def _texts() -> list[str]:
    """Texts with every word of the language after a space, and those that can begin a line also without a space."""
    starts = {"Question", "Answer", "Well", *(part for kind in KINDS.values() for part in (*kind.first, kind.pronoun))}
    words = {"Question", "Answer", "Well", "she", "it", "said", "was", "nothing", "the", "weather", *ATTRIBUTES}
    words |= {part for kind in KINDS.values() for part in (*kind.first, *kind.second, kind.pronoun)}
    templates = [*LABELED, *QUESTIONS, *REQUESTS, *PHRASES]
    for attribute in ATTRIBUTES.values():
        words |= {attribute.article, *attribute.values}
        templates += [*attribute.predicates, *attribute.questions]
    for template in templates:
        text = template.format(name="", label="", value="")
        template_words = "".join(c if c not in punctuation else " " for c in text).split()
        words |= {*template_words}
        starts |= {template_words[0]} - {template_words[0].lower()}
    return [f"\n {word}" for word in words] + [*starts]
