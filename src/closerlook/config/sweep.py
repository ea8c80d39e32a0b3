"""Learning-rate sweeps: each rate becomes a method of its own (lft-lr5e-4) with its own cells."""

from collections.abc import Iterator
from decimal import Decimal

from closerlook.config.catalog import Catalog, Method
from closerlook.config.preset import Block, Preset
from closerlook.config.problems import Problem, nearest


def name_at(method: str, rate: float) -> str:
    """The name of a method at a learning rate: lft at 0.00015 is lft-lr1.5e-4. Different rates have different names."""
    return f"{method}-lr{Decimal(repr(rate)).normalize():e}".replace("+", "")


def rate_of(name: str, method: str) -> float:
    """The learning rate in the name that `name_at` gave to a method."""
    return float(name.removeprefix(f"{method}-lr"))


def families(preset: Preset) -> dict[str, str]:
    """The swept method of each method that `expand` adds, by its name."""
    return {name: method for block in preset.grid for name, (method, _) in _rates(block).items()}


def problems(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Sweeps of unknown or untrained methods, rates that are there twice, and names that already mean another training."""
    held_out_of: dict[str, tuple[int, int]] = {}
    for b, block in enumerate(preset.grid):
        if not (swept := block.sweep):
            continue
        for method, rates in swept.learning_rate.items():
            key = f"grid[{b}].sweep.learning_rate.{method}"
            if method not in catalog.methods or not catalog.methods[method].train:
                trained = [name for name, entry in catalog.methods.items() if entry.train]
                yield Problem(file, key, method, f"a method that trains: {nearest(method, trained)}")
            elif method not in block.methods:
                yield Problem(file, key, method, "a method of the block")
            for i, rate in enumerate(rates):
                if rate in rates[:i]:
                    yield Problem(file, f"{key}[{i}]", rate, "each rate once")
        for name in (name for name in _rates(block) if name in catalog.methods):
            expected = f"another name: a rate of the sweep in {file} has this one"
            yield Problem(preset.catalog, f"methods.{name}", name, expected)
        # A name means one training, and methods meet on the same instances.
        for name in [*_rates(block), *block.datasets]:
            first, held_out = held_out_of.setdefault(name, (b, swept.held_out))
            if held_out != swept.held_out:
                expected = f"{held_out}, as in grid[{first}], which has {name} too"
                yield Problem(file, f"grid[{b}].sweep.held_out", swept.held_out, expected)


def expand(preset: Preset, catalog: Catalog) -> tuple[Preset, Catalog]:
    """The preset with each swept method replaced by one method per rate, and the catalog with these methods."""
    methods, blocks = dict(catalog.methods), []
    for block in preset.grid:
        rates = _rates(block)
        for name, (method, rate) in rates.items():
            assert block.sweep
            methods[name] = _trained_with(catalog.methods[method], learning_rate=rate, held_out=block.sweep.held_out)
        names = [
            [name for name, (swept, _) in rates.items() if swept == method] or [method] for method in block.methods
        ]
        blocks.append(block.model_copy(update={"methods": [name for each in names for name in each]}))
    return preset.model_copy(update={"grid": blocks}), catalog.model_copy(update={"methods": methods})


def _rates(block: Block) -> dict[str, tuple[str, float]]:
    """Method and rate of each method that a block's sweep adds, by its name."""
    swept = block.sweep.learning_rate if block.sweep else {}
    return {name_at(method, rate): (method, rate) for method, rates in swept.items() for rate in rates}


def _trained_with(method: Method, **settings: float) -> Method:
    assert method.train  # `problems` refuses a sweep of a control
    return method.model_copy(update={"train": method.train.model_copy(update=settings)})
