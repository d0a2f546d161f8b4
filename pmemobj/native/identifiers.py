"""uuid.UUID, the paths of pathlib, and the addresses of ipaddress."""

import ipaddress
import pathlib
import uuid
from typing import Any

from pmemobj._values import Codec

__all__ = ["BY_NAME", "codec_of"]

#: On media: DO NOT CHANGE, append.
_PATHS: tuple[type, ...] = (
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
    pathlib.PosixPath,
    pathlib.WindowsPath,
)
_ADDRESSES: tuple[Any, ...] = (
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
)


def _encode_uuid(value: uuid.UUID) -> object:
    return value.bytes if value.is_safe is uuid.SafeUUID.unknown else (value.bytes, value.is_safe.value)


def _uuid(payload: Any) -> uuid.UUID:
    if isinstance(payload, tuple):
        return uuid.UUID(bytes=payload[0], is_safe=uuid.SafeUUID(payload[1]))
    return uuid.UUID(bytes=payload)


def _encode_path(value: pathlib.PurePath) -> tuple[int, str]:
    return _PATHS.index(type(value)), str(value)


def _path(payload: tuple[int, str]) -> object:
    return _PATHS[payload[0]](payload[1])


def _path_key(value: pathlib.PurePath) -> tuple[object, ...]:
    """Pure and concrete paths are equal; those of Windows whatever their case."""
    windows = isinstance(value, pathlib.PureWindowsPath)
    return "path", windows, str(value).lower() if windows else str(value)


def _encode_address(value: object) -> tuple[int, str]:
    return _ADDRESSES.index(type(value)), str(value)


def _address(payload: tuple[int, str]) -> object:
    return _ADDRESSES[payload[0]](payload[1])


BY_NAME = {
    "uuid": Codec("uuid", _encode_uuid, _uuid, stable_key=lambda value: ("uuid", value.int)),
    "path": Codec("path", _encode_path, _path, stable_key=_path_key),
    "ip": Codec("ip", _encode_address, _address),
}


def codec_of(cls: type) -> Codec | None:
    name = "uuid" if cls is uuid.UUID else "path" if cls in _PATHS else "ip" if cls in _ADDRESSES else None
    return BY_NAME[name] if name is not None else None
