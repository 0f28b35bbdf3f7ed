// The pictures of README.md, in tests/web/pictures: node readme.mjs FOLDER, with lenet.html and edge.html in it. Nothing in them depends
// on the machine but its fonts.

import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { open, shoot } from "./chromium.mjs";

const folder = process.argv[2];
const MARGIN = 16;
const browser = await open();

// The part of a page from the top of its `n`-th section to the bottom of what `last` is in it.
async function part(file, width, n, last, name) {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: "light" });
    await page.goto(pathToFileURL(resolve(join(folder, file))).href);
    const [top, bottom] = await page.evaluate(
        ([n, last]) => [
            document.querySelector(`#h${n}`).getBoundingClientRect().top + scrollY,
            document.querySelector(`#s${n} ${last}`).getBoundingClientRect().bottom + scrollY,
        ],
        [n, last],
    );
    await shoot(page, join(import.meta.dirname, "pictures", name), { x: 0, y: top, width, height: bottom - top + MARGIN });
    await page.close();
}

await part("lenet.html", 860, 2, ".grid > div", "training.png");
await part("edge.html", 620, 3, "figure svg", "surface.png");
await browser.close();
