"""Imports a Feast repository: ``python -m unskew.feast REPO --out DIR``.

The folder that is written is an Unskew project with the entities, data sources, feature views and feature services of the
repository. What has no equivalent is listed, and is a comment in the files. See docs/feast.md for what differs in meaning.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._from_feast import Converter, Note, Repository
from .errors import UnskewError

__all__ = ["Conversion", "Note", "convert"]

#: The versions of Feast that the importer was tried with, the first and the last.
SUPPORTED = ((0, 40), (0, 67))


@dataclass(frozen=True)
class Conversion:
    """What :func:`convert` wrote."""

    out: Path
    files: tuple[Path, ...]
    notes: tuple[Note, ...]
    services: tuple[str, ...]
    outputs: dict[str, list[tuple[str, str, str]]]  #: of each service: feature, and the view and feature of Feast

    @property
    def by_hand(self) -> list[Note]:
        """What has no equivalent and is to be done by hand."""
        return [n for n in self.notes if n.kind == "by hand"]

    def __str__(self) -> str:
        lines = [f"{f.relative_to(self.out)}" for f in self.files]
        lines = [f"{self.out}: {', '.join(lines)}"]
        for kind, title in (("added", "Added"), ("renamed", "Renamed"), ("differs", "Differs from Feast"), ("by hand", "To do by hand")):
            notes = [n for n in self.notes if n.kind == kind]
            if notes:
                lines += ["", f"{title}:"]
                lines += ["  - " + str(n).replace("\n", "\n      ") for n in notes]
        return "\n".join(lines)


def convert(repo: str | os.PathLike[str], out: str | os.PathLike[str], *, definitions: bool = False) -> Conversion:
    """Writes an Unskew project to ``out``, from the Feast repository in the folder ``repo``.

    It reads the registry that ``feature_store.yaml`` names, so run ``feast apply`` before. With ``definitions``, Feast applies
    the Python files of the folder to a registry of its own, which is thrown away: the real registry and the online
    store stay as they are. That runs these files, and their imports.

    Feast executes the code of on demand feature views when it reads a registry; read only those that you trust.
    """
    repo, out = Path(repo).resolve(), Path(out).resolve()
    if not (repo / "feature_store.yaml").is_file():
        raise UnskewError(f"{repo} is no Feast repository: it has no feature_store.yaml")
    _refuse_to_overwrite(out)
    _feast()
    if definitions:
        with tempfile.TemporaryDirectory(prefix="unskew-feast-") as folder:
            config = _private_config(repo, Path(folder))
            _apply(repo, config)
            found = _read(repo, config)
    else:
        found = _read(repo, repo / "feature_store.yaml")
    if not found.views and not found.entities:
        raise UnskewError(
            f"the registry of {repo} is empty; run feast apply there, or let Feast run its Python files with --definitions (definitions=True)"
        )
    converter = Converter(found, out)
    converter.run()
    files = []
    for name, text in converter.files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        files.append(path)
    return Conversion(out, tuple(files), tuple(converter.notes), tuple(converter.services), converter.outputs)


def _refuse_to_overwrite(out: Path) -> None:
    present = [p for p in (out / "unskew.yaml", *sorted((out / "features").glob("*.yaml"))) if p.exists()]
    if present:
        raise UnskewError(f"{present[0]} exists; choose another folder, or remove the project there")


def _feast() -> Any:
    """The package, which only this module needs."""
    try:
        import feast
    except ImportError as error:
        raise UnskewError(f"the package feast is missing ({error}): pip install feast") from error
    version = importlib.metadata.version("feast")
    number = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if not SUPPORTED[0] <= number <= SUPPORTED[1]:
        first, last = (".".join(map(str, v)) for v in SUPPORTED)
        print(f"warning: feast {version} is not among the versions that the importer was tried with ({first} to {last})", file=sys.stderr)
    return feast


def _private_config(repo: Path, folder: Path) -> Path:
    """A feature_store.yaml with a registry in ``folder`` and no online store."""
    import yaml

    config = _config(repo)
    config["registry"] = str(folder / "registry.db")
    config["online_store"] = None
    path = folder / "feature_store.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def _apply(repo: Path, config: Path) -> None:
    """Runs ``feast apply``, in a process of its own, since it imports the repository's code."""
    start = "from importlib.metadata import entry_points as e; (c,) = e(group='console_scripts', name='feast'); c.load()()"
    command = [sys.executable, "-c", start, "--feature-store-yaml", str(config), "apply", "--skip-source-validation"]
    ran = subprocess.run(command, cwd=repo, capture_output=True, text=True)
    if ran.returncode != 0:
        said = (ran.stderr.strip() or ran.stdout.strip()).splitlines()[-20:]
        raise UnskewError("feast apply failed:\n" + "\n".join(said))


def _read(repo: Path, config: Path) -> Repository:
    try:
        return _objects(repo, _feast().FeatureStore(repo_path=str(repo), fs_yaml_file=config))
    except Exception as error:  # Feast's, or of the libraries of its stores
        raise UnskewError(f"Feast cannot read {repo}: {error}") from error


def _objects(repo: Path, store: Any) -> Repository:
    views = getattr(store, "list_batch_feature_views", store.list_feature_views)
    return Repository(
        project=store.project,
        root=repo,
        entities=_sorted(store.list_entities()),
        views=_sorted([*views(), *store.list_stream_feature_views()]),
        on_demand=_sorted(store.list_on_demand_feature_views()),
        services=_sorted(store.list_feature_services()),
        label_views=_sorted(store.list_label_views()) if hasattr(store, "list_label_views") else (),
        sources=_sorted(store.list_data_sources()),
        others=list(_others(store)),
        settings=_settings(repo),
    )


def _settings(repo: Path) -> dict[str, str]:
    """The kinds of stores that feature_store.yaml names."""
    config = _config(repo)
    return {key: str(config[key].get("type", "")) for key in ("online_store", "offline_store") if isinstance(config.get(key), dict)}


def _config(repo: Path) -> dict[str, Any]:
    import yaml

    config = yaml.safe_load((repo / "feature_store.yaml").read_text(encoding="utf-8"))
    return config if isinstance(config, dict) else {}


def _sorted(objects: Iterable[Any]) -> list[Any]:
    """By name: a registry has them in any order."""
    return sorted(objects, key=lambda o: str(o.name))


def _others(store: Any) -> Iterable[tuple[str, str, str]]:
    """What registries have besides, of which only names are of interest."""
    for kind, method, todo in (
        ("saved dataset", "list_saved_datasets", "Write the training set anew: kind: TrainingSet"),
        ("validation reference", "list_validation_references", "The report of unskew train describes rows and features"),
        ("permission", "list_permissions", "Callers and roles of a server are in its callers file (docs/security.md)"),
    ):
        method_of_registry = getattr(store.registry, method, None)
        for found in method_of_registry(store.project) if method_of_registry else ():
            yield kind, found.name, todo


def main(arguments: list[str] | None = None) -> int:
    first, last = (".".join(map(str, v)) for v in SUPPORTED)
    parser = argparse.ArgumentParser(
        prog="python -m unskew.feast",
        description="Writes an Unskew project from a Feast repository, and lists what has no equivalent.",
        epilog=f"It needs the package feast ({first} to {last}): pip install feast",
    )
    parser.add_argument("repo", metavar="REPO", help="folder with feature_store.yaml")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the project to write")
    parser.add_argument("--definitions", action="store_true", help="let Feast run the Python files of REPO and apply them to a registry of its own, instead of reading the registry")
    given = parser.parse_args(arguments)
    try:
        done = convert(given.repo, given.out, definitions=given.definitions)
    except UnskewError as error:
        print(f"unskew.feast: {error}", file=sys.stderr)
        return 2
    print(done)
    print(f"\nNext: unskew -C {shlex.quote(str(given.out))} validate")
    return 0


if __name__ == "__main__":
    sys.exit(main())
