"""Datasets and evaluation sets made from others: longest, filtered, simplified, paraphrased, ablated."""
