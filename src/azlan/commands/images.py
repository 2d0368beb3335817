"""`azlan images list | build | export | import | remove`: the guest images of this computer, for offline classrooms too."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from azlan.commands.clouds import CommandError
from azlan.commands.doctor import refuse
from azlan.commands.findings import Wanted
from azlan.commands.software_checks import image_space
from azlan.machines.images import ALWAYS, CATALOGUE, ImageError, ImageNotFoundError, ImageStore

images = typer.Typer(help="Guest images: list, build, export, import, remove.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of an image, as `azlan images list` shows it.")]


@images.command("list")
def list_images(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show every image that can be had, and which are there."""
    there = {image.name: image for image in ImageStore().list()}
    if as_json:
        rows = [
            {
                "name": name,
                "title": source.title,
                "built": there[name].built if name in there else None,
                "bytes": there[name].size if name in there else None,
            }
            for name, source in CATALOGUE.items()
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("Name", "Title", "Built", "Size")
    for name, source in CATALOGUE.items():
        image = there.get(name)
        missing = "when used" if source.when_used else "not yet"
        built = f"{datetime.fromtimestamp(image.built, UTC):%Y-%m-%d %H:%M} UTC" if image else missing
        table.add_row(name, source.title, built, f"{image.size / 2**20:.0f} MiB" if image else "")
    Console().print(table)


@images.command()
def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Images to build; where none is named, all but those that are built when they are used."),
    ] = None,
) -> None:
    """Build images and verify them against their archive's keyring. Needs root."""
    store = ImageStore()
    with _errors():
        missing = [name for name in names or ALWAYS if store.find(name) is None]
    if missing and os.geteuid() != 0:
        raise CommandError("Images are built by root.", f"sudo azlan images build {' '.join(missing)}")
    if missing:
        refuse([image_space(Wanted())])
    for name in names or ALWAYS:
        with _bar(name) as tell, _errors():
            store.build(name, tell)


@images.command()
def export(name: Name, file: Annotated[Path, typer.Argument(help="Where to write it.")]) -> None:
    """Write an image into one file, for a computer without internet."""
    with _bar(f"{name} → {file}") as tell, _errors():
        ImageStore().export(name, file, tell)


@images.command("import")
def import_image(file: Annotated[Path, typer.Argument(help="A file that `azlan images export` wrote.")]) -> None:
    """Take an image from a file. Needs root."""
    with _bar(str(file)) as tell, _errors():
        ImageStore().import_(file, tell)


@images.command()
def remove(name: Name) -> None:
    """Remove an image that no machine is made from."""
    with _errors():
        ImageStore().remove(name)


class _bar:
    """A progress bar on standard error; `as` gives what an ImageStore tells its progress to."""

    def __init__(self, title: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._title = title
        self._task = self._progress.add_task(title, total=1.0)

    def __enter__(self) -> _bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, fraction: float, phase: str) -> None:
        self._progress.update(self._task, completed=fraction, description=f"{self._title}: {phase}")


class _errors:
    """Turns the store's errors into the command's."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ImageError | ImageNotFoundError):
            raise CommandError(str(error)) from error
        if isinstance(error, PermissionError):
            raise CommandError(f"{error}.", "Images belong to root: use sudo.") from error
