"""Learning-rate sweeps: each rate becomes a method of its own (lft-lr5e-4) with its own cells."""

from collections.abc import Iterator
from decimal import Decimal

from closerlook.config.catalog import Catalog, Method
from closerlook.config.preset import Preset
from closerlook.config.problems import Problem, nearest


def name_at(method: str, rate: float) -> str:
    """The name of a method at a learning rate: lft at 0.00015 is lft-lr1.5e-4. Different rates have different names."""
    return f"{method}-lr{Decimal(repr(rate)).normalize():e}".replace("+", "")


def families(preset: Preset) -> dict[str, str]:
    """The swept method of each method that `expand` adds, by its name."""
    return {name_at(method, rate): method for method, swept in preset.sweep.items() for rate in swept.learning_rate}


def problems(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Sweeps of unknown or untrained methods, and of methods without held-out instances, whose rates cannot be compared."""
    used = {method for block in preset.grid for method in block.methods}
    for method, swept in preset.sweep.items():
        key = f"sweep.{method}"
        settings = catalog.methods[method].train if method in catalog.methods else None
        if settings is None:
            trained = [name for name, entry in catalog.methods.items() if entry.train]
            yield Problem(file, key, method, f"a method that trains: {nearest(method, trained)}")
        elif method not in used:
            yield Problem(file, key, method, "a method of the grid")
        elif not settings.held_out:
            held_out = f"overrides.methods.{method}.train.held_out"
            yield Problem(file, held_out, 0, "1 or more instances: the best rate has the least loss on them")
        for i, rate in enumerate(swept.learning_rate):
            if rate in swept.learning_rate[:i]:
                yield Problem(file, f"{key}.learning_rate[{i}]", rate, "each rate once")
            if name_at(method, rate) in catalog.methods:
                name = name_at(method, rate)
                yield Problem(
                    preset.catalog, f"methods.{name}", name, f"another name: a rate of the sweep in {file} has this one"
                )


def expand(preset: Preset, catalog: Catalog) -> tuple[Preset, Catalog]:
    """The preset with each swept method replaced by one method per rate, and the catalog with these methods."""
    methods = dict(catalog.methods)
    for method, swept in preset.sweep.items():
        for rate in swept.learning_rate:
            methods[name_at(method, rate)] = _with_rate(catalog.methods[method], rate)
    blocks = [
        block.model_copy(update={"methods": [name for method in block.methods for name in _rates(method, preset)]})
        for block in preset.grid
    ]
    return preset.model_copy(update={"grid": blocks}), catalog.model_copy(update={"methods": methods})


def _rates(method: str, preset: Preset) -> list[str]:
    swept = preset.sweep.get(method)
    return [name_at(method, rate) for rate in swept.learning_rate] if swept else [method]


def _with_rate(method: Method, rate: float) -> Method:
    assert method.train  # `problems` refuses a sweep of a control
    return method.model_copy(update={"train": method.train.model_copy(update={"learning_rate": rate})})
