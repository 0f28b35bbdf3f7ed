// Opens every page of a folder in Chromium and says what is wrong with it: node look.mjs FOLDER [FOLDER FOR PICTURES]

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { HtmlValidate } from "html-validate";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = { desk: { width: 1200, height: 900 }, phone: { width: 360, height: 740 } };
const MOST_BYTES = 3_000_000;

const [folder, pictures] = process.argv.slice(2);
const wrong = [];

// Chromium looks for updates and for its maker's hosts on its own; it shall not.
const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

async function look(file, size, scheme) {
    const where = `${basename(file)}, ${size}, ${scheme}`;
    const context = await browser.newContext({ viewport: SIZES[size], colorScheme: scheme });
    const page = await context.newPage();
    const address = pathToFileURL(resolve(file)).href;
    page.on("console", (message) => wrong.push(`${where}: console: ${message.text()}`));
    page.on("pageerror", (error) => wrong.push(`${where}: script: ${error.message}`));
    page.on("request", (request) => {
        if (request.url() !== address && !request.url().startsWith("data:")) wrong.push(`${where}: asks for ${request.url()}`);
    });
    await page.goto(address);
    const { width, height } = await page.evaluate(() => ({
        width: document.documentElement.scrollWidth,
        height: document.documentElement.scrollHeight,
    }));
    if (width > SIZES[size].width && file.endsWith(".html")) wrong.push(`${where}: ${width} pixels wide, scrolls sideways`);
    if (height < 100) wrong.push(`${where}: nothing is shown`);
    if (file.endsWith(".html")) {
        await page.evaluate(axe);
        const { violations, passes } = await page.evaluate(() => window.axe.run());
        for (const { id, help, nodes } of violations) {
            wrong.push(`${where}: axe: ${id}: ${help}: ${nodes.length} places, ${nodes[0].html.slice(0, 200)}`);
        }
        if (passes.length === 0) wrong.push(`${where}: axe looked at nothing`);
    }
    if (pictures) {
        const picture = join(pictures, `${basename(file)}-${size}-${scheme}.png`);
        await page.screenshot({ path: picture, fullPage: true });
    }
    await context.close();
}

const validator = new HtmlValidate({
    extends: ["html-validate:standard"],
    rules: { "long-title": "off", "no-inline-style": "off" },
});
const files = readdirSync(folder).filter((name) => /\.(html|svg)$/.test(name)).map((name) => join(folder, name));
for (const file of files) {
    const bytes = readFileSync(file);
    if (bytes.length > MOST_BYTES) wrong.push(`${basename(file)}: ${bytes.length} bytes, more than ${MOST_BYTES}`);
    if (file.endsWith(".html")) {
        const { results } = await validator.validateString(bytes.toString());
        for (const { line, message, ruleId } of results.flatMap((result) => result.messages).slice(0, 20)) {
            wrong.push(`${basename(file)}:${line}: HTML: ${message} (${ruleId})`);
        }
    }
    for (const size of Object.keys(SIZES)) for (const scheme of ["light", "dark"]) await look(file, size, scheme);
    console.log(`${basename(file)}: ${bytes.length} bytes`);
}
await browser.close();
if (files.length === 0) wrong.push(`${folder}: no pages`);
for (const line of wrong) console.error(line);
process.exitCode = wrong.length === 0 ? 0 : 1;
