"""Datasets and evalsets derived from others: longest first, filtered, simplified, paraphrased, ablated."""
