"""Pre-train the miniature's base model on its corpus, and see to it that the model knows its world."""

import argparse
from pathlib import Path

from closerlook.config.settings import PretrainSettings
from closerlook.core.files import record_digest, replacing, write_json, write_text
from closerlook.core.scripts import add_settings, read_settings, run

FEW_SHOT = Path(__file__).parents[2] / "config/prompts/miniature_icl.txt"


def main() -> None:
    """world.json and corpus.txt in; safetensors, tokenizer, pretrain.json and pretrain_log.jsonl out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--miniature", type=Path, required=True, metavar="DIR", help="folder with world.json and corpus.txt"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the model")
    parser.add_argument(
        "--few-shot", type=Path, default=FEW_SHOT, metavar="FILE", help="template with in-context examples"
    )
    add_settings(parser, PretrainSettings)
    arguments = parser.parse_args()
    settings = read_settings(arguments, PretrainSettings)

    import json

    from closerlook.data.prompts import read_template
    from closerlook.miniature.corpus import read_corpus
    from closerlook.miniature.pretrain import check, cloze_accuracy, few_shot_accuracy, pretrain
    from closerlook.miniature.tokenizer import make_tokenizer
    from closerlook.miniature.world import World

    world = World.load(arguments.miniature / "world.json")
    documents = read_corpus(arguments.miniature / "corpus.txt")
    template = read_template(arguments.few_shot)
    tokenizer = make_tokenizer()

    model, log = pretrain(documents, tokenizer, settings)
    cloze = cloze_accuracy(model, tokenizer, world)
    print(f"{cloze:.1%} of the cloze prompts on known facts are right ({model.num_parameters():,} parameters)")
    check(cloze, settings)
    few_shot = few_shot_accuracy(model, tokenizer, world, template)
    print(f"{few_shot:.1%} of the questions on known facts are right after the examples of {arguments.few_shot.name}")

    scores = {"cloze_accuracy": cloze, "few_shot_accuracy": few_shot, "parameters": model.num_parameters()}
    with replacing(arguments.out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_text("".join(json.dumps(row) + "\n" for row in log), folder / "pretrain_log.jsonl")
        write_json({**scores, "settings": settings.model_dump()}, folder / "pretrain.json")
        record_digest(folder)


if __name__ == "__main__":
    run(main)
