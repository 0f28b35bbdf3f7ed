// Chromium without a window, and pictures of what it shows.

import { writeFileSync } from "node:fs";
import { chromium } from "playwright-core";

// It looks for updates and for its maker's hosts on its own; it shall not.
export function open() {
    return chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: [
            "--no-sandbox", // which root may not have
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    });
}

// A picture of the whole page, or of a part {x, y, width, height}. Playwright's own never ends where the document is an SVG file.
export async function shoot(page, path, part) {
    const whole = await page.evaluate(() => ({
        x: 0,
        y: 0,
        width: document.documentElement.scrollWidth,
        height: document.documentElement.scrollHeight,
    }));
    const session = await page.context().newCDPSession(page);
    const { data } = await session.send("Page.captureScreenshot", {
        format: "png",
        captureBeyondViewport: true,
        clip: { ...(part ?? whole), scale: 1 },
    });
    writeFileSync(path, Buffer.from(data, "base64"));
}
