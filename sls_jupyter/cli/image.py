"""``sls image``: root hashes of layers; the guest image built, shown, pushed; the images that are trusted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sls_jupyter.cli.words import say, tell
from sls_jupyter.errors import SlsError

if TYPE_CHECKING:
    from sls_jupyter.contract.image import GuestImage
    from sls_jupyter.identity import Home


def add_image_commands(commands: Any) -> None:
    """``image`` and its actions."""
    actions = commands.add_parser(
        "image", help="the guest image: root hashes, building, pushing, trust"
    ).add_subparsers(dest="action", required=True, metavar="ACTION")
    hashed = actions.add_parser(
        "hash",
        help="the dm-verity root hash of each layer, as Confidential ACI mounts it",
        description="One line a layer, as sha256sum prints. Exit status: 0, or 1 if one could not be read.",
    )
    hashed.add_argument(
        "names",
        nargs="+",
        metavar="IMAGE|TAR",
        help="a layer's tar (also .gz, .zst), an OCI layout, an archive of docker save, or HOST/REPOSITORY:TAG",
    )
    built = actions.add_parser(
        "build",
        help="the guest image from the installed package: an OCI layout, without Docker or root",
        description="The same package, lock file and base give the same bytes, whoever builds.",
    )
    add = built.add_argument
    add("--out", type=Path, default=Path("sls-guest"), metavar="FOLDER", help="a new folder (sls-guest)")
    add(
        "--base",
        default="",
        metavar="IMAGE|TAR",
        help="what to build upon: HOST/REPOSITORY@sha256:…, an OCI layout or a tar with Python 3.11; by default a small"
        " Debian is made with mmdebstrap",
    )
    add(
        "--with",
        dest="extra",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="one more that cells may import; repeatable",
    )
    add("--constraints", type=Path, metavar="FILE", help="another lock file than the package's own")
    add("--mirror", default="", metavar="URL", help="Debian mirror or snapshot, for the base that is made")
    shown = actions.add_parser("show", help="what is in an image: base, packages, layers, sizes, root hashes")
    shown.add_argument("name", metavar="IMAGE")
    shown.add_argument("--json", action="store_true", help="what a contract names, for `sls image trust FILE`")
    pushed = actions.add_parser("push", help="put an OCI layout into a registry as it is, its digest unchanged")
    pushed.add_argument("folder", type=Path, metavar="FOLDER")
    pushed.add_argument(
        "reference", metavar="HOST/REPOSITORY[:TAG]", help="credentials are those of podman or docker login"
    )
    trusted = actions.add_parser("trust", help="accept evidence of this image: authorities release keys to it")
    trusted.add_argument("name", metavar="IMAGE|FILE", help="an image, or what `sls image show --json` wrote about one")
    trusted.add_argument("--as", dest="called", default="", metavar="NAME", help="what you call it")
    listed = actions.add_parser("trusted", help="the guest images that are accepted, in words")
    distrusted = actions.add_parser("distrust", help="accept it no more")
    distrusted.add_argument("name", metavar="NAME|DIGEST")
    for action in (trusted, listed, distrusted):
        action.add_argument("--persona", metavar="NAME", default=argparse.SUPPRESS, help="which of your personas")


def image_command(options: argparse.Namespace) -> int:
    """Run one action; returns the exit status."""
    actions = {"hash": _hash, "build": _build, "show": _show, "push": _push}
    ours = {"trust": _trust, "trusted": _trusted, "distrust": _distrust}
    return (actions | ours)[options.action](options)


def _hash(options: argparse.Namespace) -> int:
    from sls_jupyter.image.finding import roots

    failed = False
    for name in options.names:
        try:
            for root, whose in roots(name):
                say(f"{root}  {whose}")
        except SlsError as error:
            failed = True
            tell(f"{name}:", *error.lines())
        except OSError as error:
            failed = True
            tell(f"{name}: {error.strerror or type(error).__name__}")
    return 1 if failed else 0


def _build(options: argparse.Namespace) -> int:
    from sls_jupyter.image.build import build

    built = build(
        options.out, base=options.base, extra=options.extra, constraints=options.constraints, mirror=options.mirror
    )
    say(f"{built.digest}  {built.path}", f"{len(built.layers)} layers, {len(built.versions)} packages")
    say(f"→ sls image show {built.path}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from sls_jupyter.errors import BadInput
    from sls_jupyter.image.finding import found
    from sls_jupyter.image.measure import guest_image
    from sls_jupyter.printing import size_words

    with found(options.name) as image:
        if isinstance(image, Path):
            raise BadInput("This is a layer, not an image.", found=options.name, hint="sls image hash prints its root")
        guest = guest_image(image)
    if options.json:
        print_json(guest)
        return 0
    labels = (image.config.get("config") or {}).get("Labels") or {}
    history = [one.get("created_by", "") for one in image.config.get("history") or [] if not one.get("empty_layer")]
    say(f"{guest.reference}", f"digest for auditors  {guest.digest}")
    for label, what in (("version", "sls_jupyter"), ("base.name", "base")):
        say(f"{what:<20} {labels.get(f'org.opencontainers.image.{label}', 'not said')}")
    for number, (layer, root) in enumerate(zip(image.layers, guest.layers, strict=True)):
        about = str(history[number])[:80] if number < len(history) else ""
        say(f"layer {number + 1}  {size_words(layer.size):>10}  {about}", f"  {layer.digest}", f"  root {root}")
    packages = str(labels.get("sls.dependencies") or "").split()
    say(f"{len(packages)} packages: {' '.join(packages)}" if packages else "packages: not said")
    return 0


def print_json(guest: GuestImage) -> None:
    """What a contract and a receipt name of an image."""
    import json

    from sls_jupyter.receipt.statement import ImageRecord

    say(json.dumps(ImageRecord.of(guest).model_dump(mode="json"), sort_keys=True))


def _push(options: argparse.Namespace) -> int:
    from sls_jupyter.image.distribution.push import push
    from sls_jupyter.image.distribution.reference import Reference
    from sls_jupyter.image.distribution.registry import Registry

    reference = Reference.parse(options.reference)
    with Registry(reference) as registry:
        say(str(push(options.folder, reference, registry, say)))
    return 0


def _trust(options: argparse.Namespace) -> int:
    import time

    from sls_jupyter.authority.images import trust, words

    image = _named_image(options.name)
    home = _home(options)
    one = trust(home, image, options.called, int(time.time()))
    say(*words((one,))[1:])
    return 0


def _named_image(word: str) -> GuestImage:
    """The image that a word names, or that a file describes."""
    from sls_jupyter.errors import BadInput, MalformedDocument
    from sls_jupyter.image.finding import found
    from sls_jupyter.image.measure import guest_image
    from sls_jupyter.receipt.statement import ImageRecord

    path = Path(word)
    if path.is_file() and path.stat().st_size <= 1 << 20 and path.read_bytes()[:1] == b"{":
        try:
            return ImageRecord.read(path.read_bytes()).image()
        except (MalformedDocument, ValueError) as error:
            why = f"{error.message} {error.found or ''}" if isinstance(error, MalformedDocument) else str(error)
            raise BadInput(
                "The file does not describe an image.",
                found=f"{word}: {why}".strip(),
                hint="sls image show IMAGE --json",
            ) from None
    with found(word) as image:
        if isinstance(image, Path):
            raise BadInput("This is a layer, not an image.", found=word)
        return guest_image(image)


def _trusted(options: argparse.Namespace) -> int:
    from sls_jupyter.authority.images import trusted, words

    images = trusted(_home(options))
    say(*words(images))
    for one in images:
        say(f"{one.digest}  {one.image.reference}", *(f"  root {root}" for root in one.image.layers))
    return 0


def _distrust(options: argparse.Namespace) -> int:
    from sls_jupyter.authority.images import distrust

    one = distrust(_home(options), options.name)
    say(f"{one.name} ({one.digest}) is accepted no more.")
    return 0


def _home(options: argparse.Namespace) -> Home:
    from sls_jupyter.identity import Home
    from sls_jupyter.notebook.sessions import require_persona

    require_persona(options.persona)
    return Home.find(options.persona)
