"""Pictures as PNG files: 8 bits a channel, red, green and blue."""

import struct
import zlib
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Picture:
    """`rows`: of each line its pixels, each a tuple of red, green and blue."""

    def __init__(self, rows):
        self.rows = rows
        self.width, self.height = len(rows[0]), len(rows)

    def write(self, path):
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        lines = b"".join(b"\0" + bytes(value for pixel in row for value in pixel) for row in self.rows)
        chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines)) + _chunk(b"IEND", b"")
        # A task may run twice: whoever looks sees the old file or the new one, never half of it.
        unfinished = Path(f"{path}.new")
        unfinished.write_bytes(SIGNATURE + chunks)
        unfinished.replace(path)

    def smaller(self, by):
        """Each pixel is the mean of `by` times `by` of ours."""
        rows = []
        for top in range(0, self.height - by + 1, by):
            square = self.rows[top : top + by]
            rows.append([_mean(square, left, by) for left in range(0, self.width - by + 1, by)])
        return Picture(rows)

    def colour(self):
        """The mean of all pixels, as HTML writes it."""
        pixels = [pixel for row in self.rows for pixel in row]
        return "#" + "".join(f"{sum(pixel[i] for pixel in pixels) // len(pixels):02x}" for i in range(3))


def read(path):
    """A file that write() has made."""
    data = Path(path).read_bytes()
    width, height = struct.unpack_from(">II", data, 16)
    at, packed = len(SIGNATURE), b""
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += length + 12
    lines, step = zlib.decompress(packed), width * 3 + 1
    rows = []
    for top in range(0, height * step, step):
        line = lines[top + 1 : top + step]
        rows.append([tuple(line[left : left + 3]) for left in range(0, len(line), 3)])
    return Picture(rows)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _mean(square, left, by):
    pixels = [pixel for row in square for pixel in row[left : left + by]]
    return tuple(sum(pixel[i] for pixel in pixels) // len(pixels) for i in range(3))
