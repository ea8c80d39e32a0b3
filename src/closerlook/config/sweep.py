"""A method at several learning rates: each rate is a method of its own (lft-lr5e-4), so each has cells of its own."""

from collections.abc import Iterator
from decimal import Decimal

from closerlook.config.catalog import Catalog, Method
from closerlook.config.preset import Preset
from closerlook.config.problems import Problem, nearest


def name_of(method: str, rate: float) -> str:
    """The name of a method at a learning rate: lft at 0.00015 is lft-lr1.5e-4. Other rates have other names."""
    return f"{method}-lr{Decimal(repr(rate)).normalize():e}".replace("+", "")


def families(preset: Preset) -> dict[str, str]:
    """The method that each method of a sweep is a rate of."""
    return {name_of(method, rate): method for method, swept in preset.sweep.items() for rate in swept.learning_rate}


def problems(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Sweeps of what is not there, or has no learning rate; rates that cannot be compared by the loss on held-out instances."""
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
            where = f"overrides.methods.{method}.train.held_out"
            yield Problem(file, where, 0, "1 or more instances: the best rate is that of the least loss on them")
        for i, rate in enumerate(swept.learning_rate):
            if rate in swept.learning_rate[:i]:
                yield Problem(file, f"{key}.learning_rate[{i}]", rate, "each rate once")
            if name_of(method, rate) in catalog.methods:
                name = name_of(method, rate)
                yield Problem(
                    preset.catalog, f"methods.{name}", name, f"another name: {file} names a rate of its sweep so"
                )


def expand(preset: Preset, catalog: Catalog) -> tuple[Preset, Catalog]:
    """The grid with every swept method at all its rates instead, and a catalog that has these methods."""
    methods = dict(catalog.methods)
    for method, swept in preset.sweep.items():
        for rate in swept.learning_rate:
            methods[name_of(method, rate)] = _at(catalog.methods[method], rate)
    blocks = [
        block.model_copy(update={"methods": [name for method in block.methods for name in _rates(method, preset)]})
        for block in preset.grid
    ]
    return preset.model_copy(update={"grid": blocks}), catalog.model_copy(update={"methods": methods})


def _rates(method: str, preset: Preset) -> list[str]:
    swept = preset.sweep.get(method)
    return [name_of(method, rate) for rate in swept.learning_rate] if swept else [method]


def _at(method: Method, rate: float) -> Method:
    assert method.train  # `problems` refuses a sweep of a control
    return method.model_copy(update={"train": method.train.model_copy(update={"learning_rate": rate})})
