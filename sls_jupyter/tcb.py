"""The names that a floor of firmware may use: kinds of evidence, their products, and the components of each.

Closed lists, because a floor for a name that no machine has is a floor that no machine is measured against. They are
asked where a floor is written and where one is read (an owner's policy, a file of minimums).

Source: AMD 57230 (TCB_VERSION of each product); Intel SGX and TDX DCAP (CPUSVN, TEE_TCB_SVN, PCESVN,
``tcbEvaluationDataNumber``); claims of Microsoft Azure Attestation.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

_MILAN = ("bootloader", "tee", "snp", "microcode")
_SNP = {"Milan": _MILAN, "Genoa": _MILAN, "Turin": ("fmc", "bootloader", "tee", "snp", "microcode")}
_CPU = tuple(f"cpu{place:02}" for place in range(16))
_TDX = tuple(f"tdx{place:02}" for place in range(16))
_INTEL = ("pce", "evaluation")

COMPONENTS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "sev-snp": _SNP,
        "simulated-snp": _SNP,
        "maa-sev-snp": {"": _MILAN},
        "sgx": {"": (*_CPU, *_INTEL)},
        "tdx": {"": (*_CPU, *_TDX, *_INTEL)},
    }
)
"""Kind to product to components; the product ``""`` where a floor cannot name one."""


BULLETINS = tuple(f"AMD-SB-{number}" for number in (3015, 3016, 3019, 3020, 3027, 3030, 3034))
"""The bulletins that a machine can be asked to meet, by name; what each asks is in ``attestation/data/amd_bulletins.json``."""


def bulletin_fault(name: str) -> str:
    """What is wrong with the name of a bulletin, with the nearest right spelling; nothing if it can be asked for."""
    return "" if name in BULLETINS else _unknown("bulletin of the table", name, BULLETINS)


def floor_fault(platform: str, components: Iterable[str]) -> str:
    """What is wrong with a floor, in words that name the nearest right spelling; nothing if it can be met.

    Args:
        platform: a kind (``sev-snp``: every product of it), or a kind and a product (``sev-snp/Milan``).
    """
    kind, slash, product = platform.partition("/")
    if kind not in COMPONENTS:
        return _unknown("kind of evidence with a floor", kind, COMPONENTS)
    products = [name for name in COMPONENTS[kind] if name]
    if slash and product not in products:
        return _unknown(f"product of {kind}", product, products) if products else f"a floor for {kind} names no product"
    known = COMPONENTS[kind][product] if slash else [one for parts in COMPONENTS[kind].values() for one in parts]
    components = tuple(components)
    if not components:
        return f"a floor for {platform} that names no component"
    for name in components:
        if name not in known:
            return _unknown(f"component of {platform}", name, known)
    return ""


def _unknown(what: str, found: str, known: Iterable[str]) -> str:
    names = list(dict.fromkeys(known))
    by_case = [name for name in names if name.lower() == found.lower()]
    near = by_case or difflib.get_close_matches(found, names, 1)
    meant = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(names[:8])}"
    return f"{found[:40]!r} is no {what}{meant}"
