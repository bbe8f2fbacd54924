"""What one backfill, or one pass of a watch, is asked to do, and the jobs that it begins with. Rank 3, pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from harvester.jobs import Args, Depth, Fill, NewJob, namespace_page, repository, search_page
from harvester.policy import LayerPolicy, TagPolicy
from harvester.targets import Target


@dataclass(frozen=True, slots=True)
class Request:
    """Targets and what is wanted of them."""

    targets: tuple[Target, ...]
    tags: TagPolicy
    layers: LayerPolicy
    fill: Fill = None
    """As whom tags are asked for of which only the name is known; null: they are left so."""
    is_quiet: bool = False
    depth: Depth = None
    """How much of each repository is asked; null: all of it."""

    def fingerprint(self, *, pulls: bool) -> str:
        """One text for one command: the same targets and options are the same run."""
        options = {"tags": self.tags.text, "layers": self.layers.text, "pulls": pulls}
        if self.fill is not None:
            options["fill"] = self.fill
        return json.dumps({"targets": [str(target) for target in self.targets], **options}, sort_keys=True)

    def jobs(self, *, pulls: bool) -> tuple[NewJob, ...]:
        """The first jobs. Repositories that share a namespace are looked for in its list: a page of it shows a hundred."""
        wanted = [target for target in self.targets if not self._is_covered(target)]
        neighbours: dict[str, list[Target]] = {}
        for target in wanted:
            if target.kind == "repository":
                neighbours.setdefault(target.subject.partition("/")[0], []).append(target)
        # A namespace that is a target itself may end before them: then they are asked for by name.
        listed = {
            namespace
            for namespace, targets in neighbours.items()
            if len(targets) > 1 and Target("namespace", namespace) not in wanted
        }
        lists = tuple(
            namespace_page(self._args(namespace, pulls, only=tuple(one.subject for one in neighbours[namespace])))
            for namespace in sorted(listed)
        )
        alone = [one for one in wanted if one.kind != "repository" or one.subject.partition("/")[0] not in listed]
        return (*lists, *(self._job(target, pulls) for target in alone))

    def _args(self, subject: str, pulls: bool, *, only: tuple[str, ...] = ()) -> Args:
        return Args(
            subject=subject,
            tags=self.tags.text,
            layers=self.layers.text,
            pulls=pulls,
            fill=self.fill,
            only=only,
            depth=self.depth,
        )

    def _is_covered(self, target: Target) -> bool:
        """Whether a tag that is named comes with its whole repository, layers included, anyway."""
        whole = Target("repository", target.subject) in self.targets and self.tags.text == "all"
        layers = self.layers.text == "none" or self.layers.wants(target.tag)
        return target.kind == "tag" and whole and layers

    def _job(self, target: Target, pulls: bool) -> NewJob:
        args = self._args(target.subject, pulls)
        match target.kind:
            case "search":
                return search_page(args)
            case "namespace":
                return namespace_page(args)
            case "tag":
                # A tag that is named is wanted, and so are its layers, whatever it is called.
                layers = "none" if self.layers.text == "none" else "all"
                return repository(
                    Args(subject=target.subject, layers=layers, pulls=pulls, tag=target.tag, depth=self.depth)
                )
            case _:
                return repository(args)
