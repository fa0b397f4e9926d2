"""`name:option=value,...` and `Name(option=value)` as objects, without eval."""

from __future__ import annotations

import ast
import inspect
import re
from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any

from flowsolve import schedule
from flowsolve._arguments import Values, shown
from flowsolve.errors import NameUnknown, StateError
from flowsolve.schedule.variable import LOG_SIGMA, SIGMA, ClockTime
from flowsolve.solver.bounded_charts import Flow, Velocity
from flowsolve.solver.chart import DATA, NOISE
from flowsolve.solver.fitted_chart import Fitted

CLOCKS: dict[str, Callable[..., schedule.Clock]] = {
    "vpsde": schedule.VPSDE,
    "vesde": schedule.VESDE,
    "edmclock": schedule.EDMClock,
    "flowclock": schedule.FlowClock,
    "linearbeta": schedule.linear_beta,
    "scaledlinearbeta": schedule.scaled_linear_beta,
    "squaredcosine": schedule.squared_cosine,
}

# charts and variables with a scale; the bare name is the one of scale 1
_SCALED: dict[str, Callable[..., Any]] = {
    "velocity": Velocity,
    "flow": Flow,
    "theta": schedule.Theta,
    "phi": schedule.Phi,
    "flowtime": schedule.FlowTime,
    "twopower": schedule.TwoPower,
}

# names that are values themselves and not called
_NAMED: dict[str, Any] = {
    "noise": NOISE,
    "data": DATA,
    "sigma": SIGMA,
    "log": LOG_SIGMA,
    "logsigma": LOG_SIGMA,
    "t": ClockTime(schedule.VPSDE()),
}

_WORDS = {"none": None, "true": True, "false": False}


def plain_name(name: str) -> str:
    """The name in small letters, without spaces, hyphens and underscores, and with p for +.

    Names are compared in this form: DPM-Solver++2M is DPMSolverPP2M.
    """
    return re.sub(r"[-_\s]", "", name.lower().replace("+", "p"))


def evaluate(
    text: str,
    makers: Mapping[str, Callable[..., Any]],
    kind: str,
    constants: Mapping[str, Any] | None = None,
) -> Any:
    """The object that `text` describes. The bare name of a class or function is a call without arguments.

    makers     the classes and functions that may be called, besides clocks, by `plain_name`
    kind       what they make, for the error messages: "solver"
    constants  the values of options whose default is one of them, by `plain_name`

    Raises NameUnknown for text that cannot be read and for unknown names, StateError for wrong options.
    """
    if not isinstance(text, str):
        raise StateError(f"a {kind} is described by a text, not by {shown(text)}.")
    source = text.strip()
    colon = re.fullmatch(r"([^:()]+?)\s*(?::(.*))?", source, re.DOTALL)
    if colon:
        source = f"{_identifier(colon[1])}({colon[2] or ''})"
    source = re.sub(r"(?<=\w)\+\+(?=\w)", "pp", source)
    try:
        tree = ast.parse(source, mode="eval").body
    except SyntaxError:
        raise NameUnknown(
            f"cannot read {text!r}. Write name, name:option=value,option=value or Name(option=value). "
            "The options of a solver inside another stand in brackets: unic:method=lms(points=3)."
        ) from None
    return _Evaluator(makers, kind, constants or {}).value(tree)


def _related(one: object, other: object) -> bool:
    """Whether the two have a base class of their own in common."""
    return bool({*type(one).__mro__} & {*type(other).__mro__} - {object, ABC, Values})


def _identifier(name: str) -> str:
    """The name as a Python identifier: dpmpp2m for dpm++2m. Raises NameUnknown if it is none then."""
    word = plain_name(name)
    if not word.isidentifier():
        raise NameUnknown(f"{name!r} is not a name.")
    return word


class _Evaluator:
    """The values of parsed expressions, in which only the given names can be called."""

    def __init__(
        self, makers: Mapping[str, Callable[..., Any]], kind: str, constants: Mapping[str, Any]
    ) -> None:
        self.kind, self.constants = kind, constants
        self.makers: dict[str, Callable[..., Any]] = {
            **CLOCKS,
            **_SCALED,
            "clocktime": ClockTime,
            "fitted": Fitted,
            **makers,
        }
        self.shown = list(makers)

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=v):
                return v
            case ast.UnaryOp(op=ast.USub(), operand=x):
                return -self.number(x)
            case ast.BinOp(op=ast.Div(), left=a, right=b):
                if below := self.number(b):
                    return self.number(a) / below
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return tuple(self.value(item) for item in items)
            case ast.Name(id=name):
                word = plain_name(name)
                known = _NAMED | _WORDS
                return known[word] if word in known else self.call(name, [], {})
            case ast.Call(func=ast.Name(id=name), args=args, keywords=words):
                given = [w.arg for w in words]
                if None in given or len({*given}) < len(given):
                    raise NameUnknown(f"{name}: give each option once, by its name.")
                options = {w.arg: self.option(name, w.arg, w.value) for w in words if w.arg}
                make = self.makers.get(plain_name(name))
                order = [*inspect.signature(make).parameters] if make else []
                asked = zip([*order, *[""] * len(args)], args, strict=False)
                return self.call(name, [self.option(name, o, a) for o, a in asked], options)
        raise NameUnknown(f"cannot read {ast.unparse(node)!r} as the value of an option.")

    def number(self, node: ast.expr) -> float:
        x = self.value(node)
        if not isinstance(x, int | float):
            raise NameUnknown(f"{ast.unparse(node)!r} is not a number.")
        return x

    def option(self, name: str, option: str, node: ast.expr) -> Any:
        """The value of an option. An option of type str takes a bare name as its text (method=dopri5), and
        one whose default is a constant, a chart or a variable takes the names of its kind only.
        """
        make = self.makers.get(plain_name(name))
        known = inspect.signature(make).parameters.get(option) if make else None
        match node:
            case ast.Name(id=text) | ast.Constant(value=str(text)):
                word = plain_name(text)
            case _:
                return self.value(node)
        if known is None:
            return text  # `call` says what is wrong
        default = known.default
        if isinstance(default, str) or known.annotation in ("str", str):
            return text
        scaled = {key: scaled() for key, scaled in _SCALED.items()}
        named = _NAMED | scaled | dict(self.constants)
        alike = {key: thing for key, thing in named.items() if _related(thing, default)}
        if word in alike:
            return alike[word]
        if alike:
            names = ", ".join(sorted({*map(repr, alike.values())}))
            raise NameUnknown(f"{name}: there is no {option} {text!r}. It is one of {names}.")
        if isinstance(default, int | float) and word not in {*_WORDS, *self.makers}:
            raise NameUnknown(f"{name}: {option} is a value such as {default!r}, not {text!r}.")
        return self.value(node)

    def call(self, name: str, args: list[Any], options: dict[str, Any]) -> Any:
        word = plain_name(name)
        if word not in self.makers:
            from difflib import get_close_matches

            near = get_close_matches(word, self.shown, n=4, cutoff=0.4) or sorted(self.shown)
            raise NameUnknown(f"there is no {self.kind} {name!r}. Did you mean {', '.join(near)}?")
        make = self.makers[word]
        try:
            bound = inspect.signature(make).bind(*args, **options)
        except TypeError as error:
            known = ", ".join(inspect.signature(make).parameters) or "none"
            raise StateError(f"{name}: {error}. Its options: {known}.") from None
        try:
            return make(*bound.args, **bound.kwargs)
        except (TypeError, ValueError) as error:
            if isinstance(error, StateError):
                raise
            raise StateError(f"{name}: {error}") from None
