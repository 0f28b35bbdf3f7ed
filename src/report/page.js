// Values under the pointer, or under the arrow keys. Without this all is still there; only the numbers must be read off.
const pointed = (element, at) => ["pointermove", "pointerdown"].forEach(what => element.addEventListener(what, at));
const moved = (element, show, at) => {
  element.addEventListener("focus", () => show(...at()));
  element.addEventListener("keydown", event => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (by) { show(at()[0] + by[0], at()[1] + by[1]); event.preventDefault(); }
  });
};
for (const chart of document.querySelectorAll("svg.chart")) {
  const series = [...chart.querySelectorAll("[data-x]")].map(group => ({
    name: group.dataset.name,
    x: group.dataset.x.split(" ").map(Number),
    y: group.dataset.y.split(" "),
  }));
  const output = chart.parentNode.querySelector("output"), cursor = chart.querySelector(".cursor");
  const { left, right, low, high, unit } = chart.dataset;
  const all = [...new Set(series.flatMap(one => one.x))].sort((a, b) => a - b);
  let at = -1;
  const show = i => {
    if (!all.length) return;
    at = Math.max(0, Math.min(all.length - 1, i));
    const place = +left + (right - left) * (all[at] - low) / (high - low || 1);
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
    cursor.style.visibility = "visible";
    output.textContent = `${unit} ${all[at]}: ` + series
      .map(one => [one.name, one.y[one.x.indexOf(all[at])]])
      .filter(pair => pair[1] !== undefined)
      .map(pair => pair.join(" ")).join(", ");
  };
  pointed(chart, event => {
    const box = chart.getBoundingClientRect();
    const inside = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
    const x = +low + (high - low) * (inside - left) / (right - left);
    let best = 0;
    all.forEach((value, i) => { if (Math.abs(value - x) < Math.abs(all[best] - x)) best = i; });
    show(best);
  });
  chart.addEventListener("focus", () => show(at < 0 ? all.length - 1 : at));
  chart.addEventListener("keydown", event => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageDown: -20, PageUp: 20, Home: -all.length, End: all.length }[event.key];
    if (by) { show(at + by); event.preventDefault(); }
  });
}
for (const picture of document.querySelectorAll("img[data-low]")) {
  const output = picture.nextElementSibling, { low, high } = picture.dataset;
  let pixels, at = [0, 0];
  const show = (x, y) => {
    if (!pixels) {
      const canvas = document.createElement("canvas");
      canvas.width = picture.naturalWidth;
      canvas.height = picture.naturalHeight;
      const context = canvas.getContext("2d");
      context.drawImage(picture, 0, 0);
      pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    }
    at = [Math.max(0, Math.min(pixels.width - 1, x)), Math.max(0, Math.min(pixels.height - 1, y))];
    const grey = pixels.data[4 * (at[1] * pixels.width + at[0])];
    output.textContent = `row ${at[1]}, column ${at[0]}: ${(+low + (high - low) * grey / 255).toPrecision(3)}`;
  };
  pointed(picture, event => {
    const box = picture.getBoundingClientRect();
    show(Math.floor((event.clientX - box.left) / box.width * picture.naturalWidth),
      Math.floor((event.clientY - box.top) / box.height * picture.naturalHeight));
  });
  moved(picture, show, () => at);
}
for (const drawing of document.querySelectorAll("svg.heat[tabindex]")) {
  const output = drawing.nextElementSibling, squares = [...drawing.querySelectorAll("rect")];
  const [rows, columns, across] = ["rows", "columns", "across"].map(name => +drawing.dataset[name]);
  const maps = squares.length / (rows * columns);
  const wide = columns * Math.min(across, maps), high = rows * Math.ceil(maps / across);
  let at = [0, 0];
  // All squares as one plane: where one is in it, and which one is there.
  const place = i => {
    const map = Math.floor(i / (rows * columns)), row = Math.floor(i / columns) % rows;
    return [map % across * columns + i % columns, Math.floor(map / across) * rows + row];
  };
  const show = (x, y) => {
    [x, y] = [Math.max(0, Math.min(wide - 1, x)), Math.max(0, Math.min(high - 1, y))];
    const [column, row] = [x % columns, y % rows];
    const map = Math.floor(y / rows) * across + Math.floor(x / columns);
    if (map >= maps) return;
    at = [x, y];
    output.textContent = `kernel ${map}, row ${row}, column ${column}: ${squares[(map * rows + row) * columns + column].textContent}`;
  };
  pointed(drawing, event => {
    const i = squares.indexOf(event.target);
    if (i >= 0) show(...place(i));
  });
  moved(drawing, show, () => at);
}
// A page that reads itself again is that of a training that runs, or of one that was killed and could not say so.
if (document.querySelector("meta[http-equiv=refresh]")) {
  const minutes = Math.floor((Date.now() - new Date(document.lastModified)) / 60000);
  if (minutes > 0) {
    document.querySelector(".lead").textContent +=
      ` It was written ${minutes} min ago: unless an epoch takes so long, the training was killed.`;
  }
}
