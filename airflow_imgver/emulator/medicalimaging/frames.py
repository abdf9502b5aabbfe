"""
Image frames: the bytes of GetImageFrame, and their entries in the metadata.

The embedded AWS does not encode pixels. A frame that was imported in a transfer syntax that AWS keeps is
returned as it was imported. For any other, a JPEG 2000 codestream of the same size and depth is returned,
whose code-blocks are empty: a decoder shows an image of one grey.
"""

from __future__ import annotations

import functools
import struct
import zlib
from typing import Any

# AWS's own table, by the stored transfer syntax:
# https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_GetImageFrame.html
CONTENT_TYPES = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.90": "image/j2c",
    "1.2.840.10008.1.2.4.91": "image/j2c",
    "1.2.840.10008.1.2.4.100": "video/mpeg",
    "1.2.840.10008.1.2.4.101": "video/mpeg",
    "1.2.840.10008.1.2.4.102": "video/mp4",
    "1.2.840.10008.1.2.4.103": "video/mp4",
    "1.2.840.10008.1.2.4.104": "video/mp4",
    "1.2.840.10008.1.2.4.105": "video/mp4",
    "1.2.840.10008.1.2.4.106": "video/mp4",
    "1.2.840.10008.1.2.4.107": "video/H256",
    "1.2.840.10008.1.2.4.108": "video/H256",
    "1.2.840.10008.1.2.4.112": "image/jxl",
    "1.2.840.10008.1.2.4.201": "image/jph",
    "1.2.840.10008.1.2.4.202": "image/jph",
    "1.2.840.10008.1.2.4.203": "image/jphc",
}
STORED_AS = {"HTJ2K": "1.2.840.10008.1.2.4.202", "JPEG_2000_LOSSLESS": "1.2.840.10008.1.2.4.90"}
"""The transfer syntax to which a data store transcodes, by its lossless storage format."""

_LEVELS = 1


def frame_entry(
    frame_id: str, attributes: dict[str, Any], stored_transfer_syntax: str, imported: bytes | None
) -> dict[str, Any]:
    """
    Describe an image frame as the metadata does.

    :param frame_id: Its id.
    :param attributes: The attributes of its instance.
    :param stored_transfer_syntax: The transfer syntax in which it is kept.
    :param imported: Its bytes as they were imported; None for a frame that :func:`grey_frame` replaces.
    :return: The entry; without checksums for an imported frame, whose pixels are not decoded.
    """
    if imported is not None:
        return {"ID": frame_id, "FrameSizeInBytes": len(imported)}
    grey = 0 if attributes.get("PixelRepresentation") else 1 << (_bits(attributes) - 1)
    return {
        "ID": frame_id,
        "PixelDataChecksumFromBaseToFullResolution": _checksums(
            *_size(attributes), *_depth(attributes), grey
        ),
        "MinPixelValue": grey,
        "MaxPixelValue": grey,
        "FrameSizeInBytes": len(grey_frame(attributes, stored_transfer_syntax)),
    }


def grey_frame(attributes: dict[str, Any], transfer_syntax: str) -> bytes:
    """
    Make a JPEG 2000 codestream (ISO/IEC 15444-1, or 15444-15 for HTJ2K) of one grey.

    :param attributes: The attributes of its instance: rows, columns, samples, bits and sign.
    :param transfer_syntax: The UID of HTJ2K or of JPEG 2000.
    """
    signed = bool(attributes.get("PixelRepresentation"))
    high_throughput = transfer_syntax != STORED_AS["JPEG_2000_LOSSLESS"]
    return _codestream(*_size(attributes), _samples(attributes), _bits(attributes), signed, high_throughput)


@functools.lru_cache(maxsize=64)
def _codestream(
    columns: int, rows: int, samples: int, bits: int, signed: bool, high_throughput: bool
) -> bytes:
    component = bytes([(bits - 1) | (0x80 if signed else 0), 1, 1])
    size = struct.pack(
        ">HIIIIIIIIH", 0x4000 if high_throughput else 0, columns, rows, 0, 0, columns, rows, 0, 0, samples
    )
    # Progression RPCL, one layer, no colour transform; code-blocks of 64 by 64, the reversible wavelet.
    coding = struct.pack(">BBHBBBBBB", 0, 2, 1, 0, _LEVELS, 4, 4, 0x40 if high_throughput else 0, 1)
    # One guard bit and no quantization: an exponent for each subband.
    quantization = bytes([0x20, *(exponent << 3 for exponent in (bits, bits + 1, bits + 1, bits + 2))])
    # A packet that begins with a zero bit holds nothing: one for each resolution of each component.
    packets = bytes((_LEVELS + 1) * samples)
    tile = struct.pack(">HHHIBB", 0xFF90, 10, 0, 14 + len(packets), 0, 1) + b"\xff\x93" + packets
    segments = [(0xFF51, size + component * samples)]
    if high_throughput:
        # Part 15 is used: only HT code-blocks, with the magnitudes that the bits of a sample need.
        segments.append((0xFF50, struct.pack(">IH", 1 << 17, min(max(bits - 7, 0), 19))))
    segments += [(0xFF52, coding), (0xFF5C, quantization)]
    header = b"".join(struct.pack(">HH", marker, len(body) + 2) + body for marker, body in segments)
    return b"\xff\x4f" + header + tile + b"\xff\xd9"


@functools.lru_cache(maxsize=64)
def _checksums(columns: int, rows: int, samples: int, width: int, grey: int) -> list[dict[str, int]]:
    sizes = [(-(-columns // 2**level), -(-rows // 2**level)) for level in range(_LEVELS, -1, -1)]
    pixel = grey.to_bytes(width, "little") * samples
    return [
        {"Width": across, "Height": down, "Checksum": _repeated_crc32(pixel * across, down)}
        for across, down in sizes
    ]


def _repeated_crc32(row: bytes, times: int) -> int:
    checksum = 0
    for _ in range(times):
        checksum = zlib.crc32(row, checksum)
    return checksum


def _size(attributes: dict[str, Any]) -> tuple[int, int]:
    # A precinct has 32,768 samples a side at most: a larger image would need more packets.
    return min(int(attributes.get("Columns") or 1), 32768), min(int(attributes.get("Rows") or 1), 32768)


def _depth(attributes: dict[str, Any]) -> tuple[int, int]:
    return _samples(attributes), (_bits(attributes) + 7) // 8


def _samples(attributes: dict[str, Any]) -> int:
    return int(attributes.get("SamplesPerPixel") or 1)


def _bits(attributes: dict[str, Any]) -> int:
    return min(int(attributes.get("BitsStored") or attributes.get("BitsAllocated") or 8), 32)
