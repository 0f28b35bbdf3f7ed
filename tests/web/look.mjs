// Opens every page of a folder in Chromium and says what is wrong with it: node look.mjs FOLDER [FOLDER FOR PICTURES]
// One of them is killed.html, the page of a training that was killed five minutes ago.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { HtmlValidate } from "html-validate";
import { open, shoot } from "./chromium.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const MOST_BYTES = 3_000_000;
const KILLED = "killed.html";
// Colours do not depend on the width, nor names and roles on colours: no rule of axe's is asked twice of the same thing.
const contrast = { runOnly: { type: "rule", values: ["color-contrast"] } };
const allElse = { rules: { "color-contrast": { enabled: false } } };
const LOOKS = [
    { name: "desk-light", width: 1200, height: 900, scheme: "light", rules: [contrast, allElse] },
    { name: "desk-dark", width: 1200, height: 900, scheme: "dark", rules: [contrast] },
    { name: "phone-light", width: 360, height: 740, scheme: "light", rules: [allElse] },
    { name: "phone-dark", width: 360, height: 740, scheme: "dark", rules: [] },
    // A4 less the margins, at 96 pixels an inch.
    { name: "print", width: 680, height: 1009, scheme: "light", media: "print", rules: [] },
];

const [folder, pictures] = process.argv.slice(2);
const wrong = [];
const browser = await open();

async function look(file, { name, width, height, scheme, media, rules }) {
    const where = `${basename(file)}, ${name}`;
    const say = (text) => wrong.push(`${where}: ${text}`);
    const isPage = file.endsWith(".html");
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
    const page = await context.newPage();
    if (media) await page.emulateMedia({ media });
    const address = pathToFileURL(resolve(file)).href;
    page.on("console", (message) => say(`console: ${message.text()}`));
    page.on("pageerror", (error) => say(`script: ${error.message}`));
    page.on("request", (request) => {
        if (request.url() !== address && !request.url().startsWith("data:")) say(`asks for ${request.url()}`);
    });
    await page.goto(address);
    const found = await page.evaluate(() => ({
        width: document.documentElement.scrollWidth,
        height: document.documentElement.scrollHeight,
        unread: [...document.images].filter((image) => image.naturalWidth === 0).length,
        cut: [...document.querySelectorAll(".wide, pre")].filter((box) => box.checkVisibility() && box.scrollWidth > box.clientWidth).length,
    }));
    if (isPage && found.width > width) say(`${found.width} pixels wide, scrolls sideways`);
    if (found.height < 100) say("nothing is shown");
    if (found.unread > 0) say(`${found.unread} pictures that cannot be read`);
    // On paper nothing scrolls.
    if (media === "print" && found.cut > 0) say(`${found.cut} tables or texts are cut off`);
    if (isPage && name === "desk-light") await point(page, say);
    if (isPage && rules.length > 0) await page.evaluate(axe);
    for (const options of isPage ? rules : []) {
        const { violations, passes } = await page.evaluate((options) => window.axe.run({ resultTypes: ["violations"], ...options }), options);
        for (const { id, help, nodes } of violations) {
            say(`axe: ${id}: ${help}: ${nodes.length} places, ${nodes[0].html.slice(0, 200)}`);
        }
        if (passes.length === 0) say("axe looked at nothing");
    }
    if (pictures) await shoot(page, join(pictures, `${basename(file)}-${name}.png`));
    await context.close();
}

// The values under the pointer, and with the keyboard under the arrow keys.
async function point(page, say) {
    for (const drawing of ["svg.chart", "img[data-low]", "svg.heat[tabindex]"]) {
        const first = page.locator(drawing).first();
        if ((await first.count()) === 0) continue;
        const output = () => first.evaluate((element) => element.parentNode.querySelector("output").textContent);
        await first.hover({ position: { x: 5, y: 5 } });
        const under = await output();
        await first.focus();
        await page.keyboard.press("Home");
        await page.keyboard.press("ArrowRight");
        const second = await output();
        await page.keyboard.press("ArrowLeft");
        const values = [under, second, await output()];
        if (values.some((text) => !/[0-9]/.test(text))) say(`${drawing}: expected values, found ${JSON.stringify(values)}`);
        if (values[1] === values[2]) say(`${drawing}: the arrow keys do not move from ${values[1]}`);
    }
}

// A page of a training that was killed goes on reading itself again; it says how old it is.
async function killed(file) {
    const page = await browser.newPage();
    await page.goto(pathToFileURL(resolve(file)).href);
    const lead = await page.locator(".lead").textContent();
    if (!/ It was written [5-9] min ago: .*killed\.$/.test(lead)) wrong.push(`${basename(file)}: expected how old it is, found ${lead}`);
    await page.close();
}

const validator = new HtmlValidate({
    extends: ["html-validate:standard"],
    rules: { "long-title": "off", "no-inline-style": "off" },
});
async function validate(file, text) {
    const { results } = await validator.validateString(text);
    for (const { line, message, ruleId } of results.flatMap((result) => result.messages).slice(0, 20)) {
        wrong.push(`${basename(file)}:${line}: HTML: ${message} (${ruleId})`);
    }
}

// The PNG files inside of the pages, for others to read.
let inside = 0;
for (const file of readdirSync(folder).filter((name) => name.endsWith(".html"))) {
    const sources = readFileSync(join(folder, file), "utf8").matchAll(/src="data:image\/png;base64,([^"]*)"/g);
    for (const [, letters] of sources) writeFileSync(join(folder, `inside-${inside++}.png`), Buffer.from(letters, "base64"));
}

const files = readdirSync(folder).filter((name) => /\.(html|svg)$/.test(name) && name !== KILLED).map((name) => join(folder, name));
const todo = files.flatMap((file) => LOOKS.map((look) => [file, look]));
async function work() {
    for (let next = todo.shift(); next; next = todo.shift()) await look(...next);
}
await killed(join(folder, KILLED));
await Promise.all([work(), work()]);
for (const file of files) {
    const bytes = readFileSync(file);
    if (bytes.length > MOST_BYTES) wrong.push(`${basename(file)}: ${bytes.length} bytes, more than ${MOST_BYTES}`);
    if (file.endsWith(".html")) await validate(file, bytes.toString());
    console.log(`${basename(file)}: ${bytes.length} bytes`);
}
await browser.close();
if (files.length === 0) wrong.push(`${folder}: no pages`);
for (const line of wrong) console.error(line);
process.exitCode = wrong.length === 0 ? 0 : 1;
