"""C with the functions of ``math.h``, in double or single precision; also valid CUDA."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from autograd_mini.source.language import Language, Pattern, Term, sign_level, slots_in, wrapped


class C(Language):
    # The keywords of C and of C++, which CUDA is, and the macros of math.h.
    reserved = frozenset(
        """
        alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const
        const_cast constexpr continue decltype default delete do double dynamic_cast else enum explicit
        export extern false float for friend goto if inline int long mutable namespace new noexcept not
        not_eq nullptr operator or or_eq private protected public register reinterpret_cast restrict
        return short signed sizeof static static_assert static_cast struct switch template this
        thread_local throw true try typedef typeid typename typeof union unsigned using virtual void
        volatile wchar_t while xor xor_eq _Alignas _Alignof _Atomic _Bool _Complex _Generic _Imaginary
        _Noreturn _Static_assert _Thread_local char8_t char16_t char32_t co_await co_return co_yield concept
        consteval constinit requires typeof_unqual linux unix DEVICE INFINITY NAN HUGE_VAL HUGE_VALF HUGE_VALL
        FP_NAN FP_INFINITE FP_ZERO FP_SUBNORMAL FP_NORMAL FP_ILOGB0 FP_ILOGBNAN MATH_ERRNO MAXFLOAT fabs
        fabsf MATH_ERREXCEPT math_errhandling signgam M_E M_LOG2E M_LOG10E
        M_LN2 M_LN10 M_PI M_PI_2 M_PI_4 M_1_PI M_2_PI M_2_SQRTPI M_SQRT2 M_SQRT1_2 DOMAIN SING OVERFLOW
        UNDERFLOW PLOSS TLOSS
        """.split()
    )
    # Functions that math.h declares or the compiler knows.
    standard_functions = frozenset(
        """
        acos asin atan atan2 cos sin tan acosh asinh atanh cosh sinh tanh exp exp2 exp10 expm1 frexp ilogb
        ldexp log log10 log1p log2 logb modf scalbn scalbln cbrt fabs hypot pow sqrt erf erfc lgamma tgamma
        gamma ceil floor nearbyint rint lrint llrint round lround llround roundeven trunc fmod remainder
        remquo copysign nan nextafter nexttoward fdim fmax fmin fma j0 j1 jn y0 y1 yn scalb drem finite
        significand sincos isnan isinf isfinite isnormal signbit fpclassify isgreater isless isunordered
        main abs labs abort exit calloc free malloc conj ffs index rindex memcmp memcpy memset printf
        putchar puts scanf sprintf strcat strchr strcmp strcpy strlen strstr toupper tolower clog cexp csqrt
        cabs real imag
        """.split()
    )

    def __init__(self, type: str) -> None:
        super().__init__()
        self.type = type
        self.suffix = "f" if type == "float" else ""

    def constant(self, value: float | str) -> Term:
        number = math.pi if isinstance(value, str) else value
        if self.suffix:
            with np.errstate(over="ignore"):
                number = float(np.float32(number))
        if not math.isfinite(number):
            text = "NAN" if math.isnan(number) else "-INFINITY" if number < 0 else "INFINITY"
            return Term(text, sign_level(number), number=number)
        text = str(np.float32(number)) if self.suffix else repr(number)
        return Term(text + self.suffix, sign_level(number), number=number)

    def native(self, name: str, operands: list[Term]) -> Term:
        return self.call(("fabs" if name == "abs" else name) + self.suffix, operands)

    def assignment(self, name: str, text: str) -> str:
        return f"    const {self.type} {name} = {text};"

    def definition(self, name: str, parameters: list[str], unused: list[str], result: str) -> str:
        head = ", ".join(f"{self.type} {parameter}" for parameter in parameters)
        lines = [*(f"    (void){parameter};" for parameter in unused), f"    return {result};"]
        return "\n".join([f"DEVICE static {self.type} {name}({head}) {{", *lines, "}"])

    def unpack(self, text: str, pattern: Pattern, uses: Mapping[int, int]) -> None:
        slots = list(slots_in(pattern))
        used = [(i, slot) for i, slot in enumerate(slots) if uses.get(slot)]
        if not used:
            self.body.append(f"    (void){text};")
        elif not isinstance(pattern, int):
            items = ",\0".join(f"{self.terms[slot].text} = {text}[{i}]" for i, slot in used)
            self.body.append(wrapped(f"const {self.type} ", items, ";"))

    def program(self, name: str, arguments: Mapping[str, Pattern], results: Pattern) -> str:
        result = self.names.new("result")
        texts = (self.number_of(self.terms[slot]).text for slot in slots_in(results))
        self.body += [f"    {result}[{i}] = {text};" for i, text in enumerate(texts)]
        parameters = [
            f"{self.type} {argument}" if isinstance(pattern, int) else f"const {self.type} *{argument}"
            for argument, pattern in arguments.items()
        ]
        head = ", ".join([*parameters, f"{self.type} *{result}"])
        function = "\n".join([f"DEVICE void {name}({head}) {{", *self.body, "}"])
        device = "#ifdef __CUDACC__\n#define DEVICE __device__\n#else\n#define DEVICE\n#endif"
        return "\n\n".join(["#include <math.h>", device, *self.definitions.values(), function])
