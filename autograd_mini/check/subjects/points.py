"""The points at which a derivation is tried: the given one, and seeded random ones in a domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.check.subjects.arguments import Floats, listed, numbers_of, plain, sample

if TYPE_CHECKING:
    from autograd_mini.check.subjects.subject import Subject

ROWS: dict[str, Callable[[tuple[int, ...], np.random.Generator], Any]] = {
    "simplex": lambda shape, random: random.dirichlet(np.ones(shape[-1]), shape[:-1]),
    "one-hot": lambda shape, random: np.eye(shape[-1])[random.integers(shape[-1], size=shape[:-1])],
}
MATRICES: dict[str, Callable[[Floats], Floats]] = {
    "symmetric": lambda square: (square + np.swapaxes(square, -1, -2)) / 2,
    "spd": lambda x: x @ np.swapaxes(x, -1, -2) / len(x) + np.eye(x.shape[-1]) / 4,
    "orthogonal": lambda square: np.linalg.qr(square)[0],
}
SHAPED: dict[str, Callable[[Floats], Floats]] = {
    "real": np.asarray,
    "positive": np.exp,
    "unit": lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True),
    **MATRICES,
}
DOMAINS = ("real", "positive", *ROWS, "unit", *MATRICES)


def domains_of(domain: Any, subject: Subject) -> dict[str, Any]:
    """The domain of each argument that has one; ValueError for one that does not exist.

    ``domain`` maps arguments to domains; a single domain is that of the only differentiated argument.
    """
    if domain is None:
        return {}
    if not isinstance(domain, Mapping):
        if len(subject.shapes) > 1:
            raise ValueError(f"check: give domain= as a mapping from {listed(subject.shapes)} to domains")
        domain = {next(iter(subject.shapes)): domain}
    for name, given in domain.items():
        if name not in subject.arguments:
            raise ValueError(f"check: domain= names {name!r}; f's arguments are {listed(subject.arguments)}")
        shape = numbers_of(subject.arguments[name]).shape
        named = isinstance(given, str)
        if named and given in (*ROWS, "unit") and not shape:
            raise ValueError(f"check: the domain {given!r} is for arrays, and {name} is a scalar")
        if named and given in MATRICES and (len(shape) < 2 or shape[-1] != shape[-2]):
            raise ValueError(
                f"check: the domain {given!r} is for square matrices, and {name} has shape {shape}"
            )
        if not (given in DOMAINS if named else _is_interval(given)):
            raise ValueError(
                f"check: the domain of {name} must be (low, high) or one of {listed(map(repr, DOMAINS))}, "
                f"got {given!r}"
            )
    return dict(domain)


def symmetric(domains: Mapping[str, Any]) -> list[str]:
    """The arguments that are symmetric matrices."""
    return [name for name, domain in domains.items() if domain in ("symmetric", "spd")]


def _is_interval(given: Any) -> bool:
    return (
        isinstance(given, (tuple, list))
        and len(given) == 2
        and all(isinstance(x, (int, float, np.number)) and np.isfinite(x) for x in given)
        and given[0] <= given[1]
    )


def points_of(
    subject: Subject, domains: Mapping[str, Any], count: int, seed: int
) -> Iterator[dict[str, Any] | None]:
    """The given point, then ``count`` seeded ones; None for one outside f's domain, which is drawn again.

    An argument with a domain is drawn from it. A differentiated one without is moved around the given
    point, closer after each None; the others stay as they are.
    """
    given = subject.placed(subject.arguments, subject.flat(subject.arguments))
    yield given
    if subject.fixed or not (domains or any(map(np.prod, subject.shapes.values()))):
        return
    random = np.random.default_rng(seed)
    radius, found = 0.5, 0
    for _ in range(4 * count):
        if found == count:
            return
        drawn = {name: _drawn(domain, given[name], random) for name, domain in domains.items()}
        near = {name: _near(given[name], radius, random) for name in subject.shapes if name not in drawn}
        point = {**given, **near, **drawn}
        if np.isfinite(sample(subject.evaluate, point, subject.start_output.size)).all():
            found += 1
            yield point
        else:
            radius /= 2
            yield None


def _near(given: Any, radius: float, random: np.random.Generator) -> Any:
    x = numbers_of(given)
    return plain(x + radius * np.maximum(1.0, abs(x)) * random.uniform(-1.0, 1.0, x.shape))


def _drawn(domain: Any, given: Any, random: np.random.Generator) -> Any:
    shape = np.shape(given)
    if not isinstance(domain, str):
        whole = np.asarray(given).dtype.kind in "iu"  # a class, a count
        low, high = domain
        found = (
            random.integers(low, high, shape, endpoint=True) if whole else random.uniform(low, high, shape)
        )
        return plain(np.asarray(found))
    if domain in ROWS:
        return ROWS[domain](shape, random)
    return plain(np.asarray(SHAPED[domain](random.standard_normal(shape))))
