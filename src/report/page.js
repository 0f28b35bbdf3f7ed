// Values under the pointer, or under the arrow keys. Without this all is still there; only the numbers must be read off.
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
  chart.addEventListener("pointermove", event => {
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
  picture.addEventListener("pointermove", event => {
    const box = picture.getBoundingClientRect();
    show(Math.floor((event.clientX - box.left) / box.width * picture.naturalWidth),
      Math.floor((event.clientY - box.top) / box.height * picture.naturalHeight));
  });
  picture.addEventListener("focus", () => show(...at));
  picture.addEventListener("keydown", event => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (by) { show(at[0] + by[0], at[1] + by[1]); event.preventDefault(); }
  });
}
