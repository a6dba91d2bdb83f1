"""The tasks: ordinary Celery. Pictures travel by number; the data stays in $GALLERY_FOLDER."""

import html
import os
from pathlib import Path

from gallery import png
from gallery.celery import app

FOLDER = Path(os.environ.get("GALLERY_FOLDER", "gallery-files"))
WIDTH, HEIGHT = 192, 144


class SiteIsBusy(Exception):
    pass


@app.task
def paint(number):
    """A view of the Mandelbrot set, each number at a depth of its own."""
    scale = 1.5 * 0.8**number
    rows = []
    for y in range(HEIGHT):
        row = []
        for x in range(WIDTH):
            c = complex(-0.7436 + scale * (x / WIDTH - 0.5) * 2, 0.1318 + scale * (y / HEIGHT - 0.5) * 1.5)
            z, steps = 0j, 0
            while abs(z) < 2 and steps < 90:
                z, steps = z * z + c, steps + 1
            row.append(
                (0, 0, 24) if steps == 90 else (steps * 7 % 256, steps * 4 % 256, 80 + steps * 2 % 176)
            )
        rows.append(row)
    png.Picture(rows).write(FOLDER / f"{number}.png")


@app.task
def thumbnail(number):
    """Returns what the album says about it."""
    small = png.read(FOLDER / f"{number}.png").smaller(4)
    small.write(FOLDER / f"{number}-small.png")
    return {"number": number, "colour": small.colour()}


@app.task
def album(entries):
    """The chord's end: all thumbnails are there."""
    figures = [
        f'<a href="{entry["number"]}.png" style="background:{html.escape(entry["colour"])}">'
        f'<img src="{entry["number"]}-small.png" alt="picture {entry["number"]}"></a>'
        for entry in entries
    ]
    page = FOLDER / "index.html"
    page.write_text("<!DOCTYPE html><title>Gallery</title>\n" + "\n".join(figures) + "\n")
    return len(entries)


@app.task(bind=True, max_retries=5)
def publish(self):
    """The site is busy for the first two that ask; returns how often it had to ask."""
    if self.request.retries < 2:
        raise self.retry(exc=SiteIsBusy("somebody else is publishing"), countdown=0.2)
    return self.request.retries + 1


_opened = {}  # nobody bounds this cache: such is the code that makes a worker grow


@app.task
def enlarge(number, job):
    """Hungry: keeps some 14 MB of each job."""
    picture = png.read(FOLDER / f"{number}.png")
    _opened[number, job] = [
        [tuple(pixel) + (255,) for pixel in row for _ in range(6)] for row in picture.rows
    ]
    return os.getpid()


@app.task
def flip_through(number):
    """A peak that is given back: some 80 MB for a moment. Does not make a worker grow."""
    picture = png.read(FOLDER / f"{number}.png")
    pages = [[list(pixel) for row in picture.rows for pixel in row] for _ in range(28)]
    assert len(pages) == 28
    return os.getpid()


@app.task
def panorama(copies):
    """Too hungry: 4 MB a copy. Whoever asks for 150 has made a typing error."""
    picture = png.read(FOLDER / "0.png")
    strip = []
    for _ in range(copies):
        strip.append([[tuple(value + 0.5 for value in pixel) for pixel in row] for row in picture.rows])
    return len(strip)
