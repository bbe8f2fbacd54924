"""The JSON objects of the Hub API, field for field as they were recorded."""

from __future__ import annotations

from functools import lru_cache

from tests.fakehub.images import Image, number_from
from tests.fakehub.messages import encode_json
from tests.fakehub.world import Namespace, Repository, Tag, made_up_time

Row = dict[str, object]


def repository_row(repository: Repository) -> Row:
    """An element of a namespace's repository list."""
    return {
        "name": repository.name,
        "namespace": repository.namespace,
        "repository_type": repository.repository_type,
        "status": repository.status,
        "status_description": repository.status_description,
        "description": repository.description,
        "is_private": repository.is_private,
        "star_count": repository.star_count,
        "pull_count": repository.pull_count,
        "last_updated": repository.last_updated,
        "last_modified": repository.last_modified,
        "date_registered": repository.date_registered,
        "affiliation": "",
        "media_types": list(repository.media_types),
        "content_types": list(repository.content_types),
        "categories": [{"name": name, "slug": slug} for name, slug in repository.categories],
        "storage_size": sum(repository.blob_sizes.values()),
    }


def repository_detail(repository: Repository, account: str | None) -> Row:
    """One repository; `full_description` is missing as a key when there is none."""
    row = repository_row(repository)
    detail: Row = {
        "user": repository.namespace,
        **row,
        "is_automated": False,
        "collaborator_count": 0,
        "affiliation": None,
        "hub_user": repository.namespace,
        "has_starred": False,
        "permissions": {
            "read": True,
            "write": account == repository.namespace,
            "admin": account == repository.namespace,
        },
        "immutable_tags_settings": {"enabled": False, "rules": [".*"]},
        "source": None,
    }
    if repository.full_description is not None:
        detail["full_description"] = repository.full_description
    return detail


def _operating_system(image: Image, tag: Tag) -> str:
    return image.os if tag.os_text is None else tag.os_text


def tag_row(tag: Tag) -> Row:
    """One tag, the same in a list and by itself."""
    user_id = number_from(f"user {tag.updater}", 20_000_000)
    row: Row = {
        "creator": user_id,
        "id": tag.tag_id,
        "images": [
            {
                "architecture": image.architecture,
                "features": "",
                "variant": image.variant,
                "digest": image.digest,
                "os": _operating_system(image, tag),
                "os_features": "",
                "os_version": image.os_version,
                "size": image.size,
                "status": tag.status,
                "last_pulled": tag.last_pulled,
                "last_pushed": tag.last_updated,
            }
            for image in tag.images
        ],
        "last_updated": tag.last_updated,
        "last_updater": user_id,
        "last_updater_username": tag.updater,
        "name": tag.name,
        "repository": tag.repository_id,
        "full_size": tag.full_size,
        "v2": True,
        "tag_status": tag.status,
        "tag_last_pulled": tag.last_pulled,
        "tag_last_pushed": tag.last_updated,
    }
    if tag.media_type is not None:
        row["media_type"] = tag.media_type
    if tag.content_type is not None:
        row["content_type"] = tag.content_type
    if tag.digest is not None:
        row["digest"] = tag.digest
    return row


@lru_cache(maxsize=50_000)
def tag_row_json(tag: Tag) -> bytes:
    """The encoded row; a tag is replaced when it changes, so its identity is enough of a key."""
    return encode_json(tag_row(tag))


def tag_images(tag: Tag) -> list[Row]:
    """The array of `/images`: each platform with its history; `digest` is missing on lines without a layer."""
    images: list[Row] = []
    for image in tag.images:
        layers: list[Row] = []
        for step in image.steps:
            if step.layer is None:
                layers.append({"size": 0, "instruction": step.instruction})
            else:
                layers.append({"digest": step.layer.digest, "size": step.layer.size, "instruction": step.instruction})
        images.append(
            {
                "architecture": image.architecture,
                "features": None,
                "variant": image.variant,
                "digest": image.digest,
                "layers": layers,
                "os": _operating_system(image, tag),
                "os_features": None,
                "os_version": image.os_version,
                "size": image.size,
                "status": tag.status,
                "last_pulled": tag.last_pulled,
                "last_pushed": tag.last_updated,
            }
        )
    return images


def search_row(repository: Repository) -> Row:
    """A hit of the v2 search; official images come bare."""
    is_official = repository.namespace == "library"
    return {
        "repo_name": repository.name if is_official else repository.full_name,
        "short_description": repository.description,
        "star_count": repository.star_count,
        "pull_count": repository.pull_count,
        "repo_owner": "",
        "is_automated": False,
        "is_official": is_official,
    }


def namespace_row(namespace: Namespace) -> Row:
    """A user or an organization."""
    is_user = namespace.kind == "User"
    identifier = f"{number_from('id ' + namespace.name, 2**63):032x}"
    row: Row = {
        "id": identifier,
        "uuid": f"{identifier[:8]}-{identifier[8:12]}-{identifier[12:16]}-{identifier[16:20]}-{identifier[20:]}",
        "username" if is_user else "orgname": namespace.name,
        "full_name": namespace.name.title(),
        "location": "",
        "company": "",
        "profile_url": "",
        "date_joined": made_up_time(f"joined {namespace.name}", first_year=2014, years=8),
        "gravatar_url": "",
        "gravatar_email": "",
        "type": namespace.kind,
    }
    if not is_user:
        row |= {"badge": namespace.badge, "is_active": True}
    return row
