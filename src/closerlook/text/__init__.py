"""Words, sentences, alignment and escaping of text: one definition each."""
