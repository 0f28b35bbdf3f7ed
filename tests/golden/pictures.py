"""pictures.txt: PNG files as Pillow writes and reads them, and pictures as Pillow resizes them.

    python -B pictures.py

Made with Pillow 13.0.0; needs nothing else. The lines are those of data.py, all numbers in full:

    png.name.file [n]         the bytes of the file; Pillow wrote it, but where filters are named
    png.name.pixels [h,w]     what Pillow reads from it, as bytes of grey: convert("L")
    resize.name.x [h,w]       a picture
    resize.name.y [h,w]       resize((w, h), BILINEAR) of it, in mode "F"

This file stands alone. Go on with tests/oracle/golden.rs, which reads what it wrote.
"""

import io
import random
import struct
import zlib
from pathlib import Path

import PIL
from PIL import Image, PngImagePlugin

LINES = []


def shortest(value):
    """The shortest decimal that reads back as the same float32."""
    if value == int(value):
        return str(int(value))
    bits = struct.pack("f", value)
    return next(text for digits in range(1, 10) if struct.pack("f", float(text := f"{value:.{digits}g}")) == bits)


def line(name, shape, numbers):
    LINES.append(f"{name} [{','.join(map(str, shape))}] {' '.join(map(shortest, numbers))}")


def bytes_of(picture):
    """`tobytes` of a mode whose elements are bytes."""
    return list(picture.tobytes())


def png(name, file):
    line(f"png.{name}.file", [len(file)], file)
    gray = Image.open(io.BytesIO(file)).convert("L")
    line(f"png.{name}.pixels", [gray.height, gray.width], bytes_of(gray))


def written(picture, **options):
    stream = io.BytesIO()
    picture.save(stream, "PNG", **options)
    return stream.getvalue()


def filtered(picture, filters):
    """The picture with a filter of our choice for each row, which Pillow does not offer."""
    channels = len(picture.getbands())
    data, length = picture.tobytes(), picture.width * channels
    rows = b""
    above = bytes(length)
    for y, kind in enumerate(filters):
        row = data[y * length :][:length]
        rows += bytes([kind])
        for i, x in enumerate(row):
            a = row[i - channels] if i >= channels else 0
            b = above[i]
            c = above[i - channels] if i >= channels else 0
            estimate = a + b - c
            paeth = min((abs(estimate - v), order, v) for order, v in enumerate((a, b, c)))[2]
            rows += bytes([(x - [0, a, b, (a + b) // 2, paeth][kind]) % 256])
        above = row
    color = {"L": 0, "RGB": 2}[picture.mode]
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", picture.width, picture.height, 8, color, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    chunk = lambda kind, content: (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def pictures():
    source = random.Random(0)
    for mode, channels in [("L", 1), ("RGB", 3)]:
        # Every filter as the first of all rows, too.
        tall = Image.frombytes(mode, (5, 11), source.randbytes(55 * channels))
        for kind in range(5):
            png(f"{mode}_filter_{kind}_first", filtered(tall, [(kind + y * y) % 5 for y in range(11)]))
        png(f"{mode}_one_column", filtered(tall.resize((1, 11)), [4, 3, 2, 1, 0, 4, 3, 2, 1, 0, 4]))
        noise = Image.frombytes(mode, (7, 5), source.randbytes(35 * channels))
        png(f"{mode}_noise", written(noise))
        png(f"{mode}_stored", written(noise, compress_level=0))
        png(f"{mode}_one_pixel", written(Image.frombytes(mode, (1, 1), source.randbytes(channels))))
        png(f"{mode}_flat", written(Image.new(mode, (20, 12), 200 if mode == "L" else (200, 30, 90))))
        # Smooth, so that Pillow chooses other filters than none.
        ramp = [(x * 3 + y * 5 + c * 70) % 256 for y in range(9) for x in range(13) for c in range(channels)]
        png(f"{mode}_ramp", written(Image.frombytes(mode, (13, 9), bytes(ramp))))
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a text")
    texts.add_itxt("Author", "another", zip=True)
    data = Image.frombytes("RGB", (4, 3), source.randbytes(36))
    more = written(data, pnginfo=texts, dpi=(300, 300), transparency=(1, 2, 3), icc_profile=b"no profile")
    png("RGB_with_more", more)
    # Each pure colour, and the colours whose luma lies at a half: where rounding shows.
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    halves = [
        (r, g, b)
        for r in range(0, 256, 5)
        for g in range(0, 256, 3)
        for b in range(256)
        if (19595 * r + 38470 * g + 7471 * b) % 65536 in (32767, 32768)
    ]
    colors += halves[:24]
    png("RGB_luma", written(Image.frombytes("RGB", (8, 4), bytes(value for color in colors for value in color))))


def resize():
    source = random.Random(1)
    sizes = {
        "smaller": ((13, 11), (5, 4)),
        "much_smaller": ((31, 29), (2, 1)),
        "to_one": ((6, 7), (1, 1)),
        "larger": ((3, 4), (8, 9)),
        "from_one": ((1, 1), (3, 2)),
        "wider": ((4, 9), (11, 3)),
        "higher": ((10, 3), (7, 8)),
        "half": ((8, 8), (4, 4)),
        "twice": ((4, 4), (8, 8)),
        "one_row": ((9, 1), (4, 1)),
        "columns_only": ((9, 4), (5, 4)),
        "to_28": ((33, 25), (28, 28)),
    }
    for name, (old, new) in sizes.items():
        values = [source.randrange(-256, 512) / 256 for _ in range(old[0] * old[1])]
        picture = Image.frombytes("F", old, struct.pack(f"{len(values)}f", *values))
        line(f"resize.{name}.x", old[::-1], values)
        data = picture.resize(new, Image.Resampling.BILINEAR).tobytes()
        line(f"resize.{name}.y", new[::-1], struct.unpack(f"{len(data) // 4}f", data))


def main():
    pictures()
    resize()
    title = [
        "# PNG files, what Pillow reads from them, and pictures that it resized.",
        "#",
        f"# Written by pictures.py with Pillow {PIL.__version__}; the format is there and in data.py.",
        "",
    ]
    path = Path(__file__).resolve().parent / "pictures.txt"
    path.write_text("\n".join(title + LINES) + "\n")


if __name__ == "__main__":
    main()
