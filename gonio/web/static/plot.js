// Reads values out of a chart that the server drew: a crosshair that follows pointer and arrow keys, and, on a time
// axis, zoom. The values are those of the table behind the chart. Without this script the page says the same.
"use strict";

(() => {
  const NS = "http://www.w3.org/2000/svg";
  const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  const room = (text) => 8 * text.length + 6;  // px a label wants for itself
  const SMALLEST_SPAN_S = 2;

  const make = (name, attributes) => {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  class Plot {
    constructor(svg, figure) {
      const number = (name) => Number(svg.dataset[name]);
      this.svg = svg;
      this.figure = figure;
      this.full = [number("x0"), number("x1")];
      this.view = [...this.full];
      this.angles = [number("y0"), number("y1")];
      this.box = { left: number("left"), top: number("top"), width: number("width"), height: number("height") };
      this.inside = svg.querySelector("svg.inside");
      const { top, height } = this.box;
      this.overlay = make("g", { visibility: "hidden" });
      this.crosshair = make("line", { class: "crosshair", y1: top, y2: top + height });
      this.cursor = make("circle", { class: "cursor", r: 5 });
      this.picked = make("rect", { class: "picked", y: top, height, visibility: "hidden" });
      this.overlay.append(this.crosshair, this.cursor);
      svg.append(this.picked, this.overlay);
      svg.setAttribute("tabindex", "0");
    }

    // px in the drawing's own units of a value on an axis
    x(value) { return this.box.left + (value - this.view[0]) / (this.view[1] - this.view[0]) * this.box.width; }
    y(value) { return this.box.top + (this.angles[1] - value) / (this.angles[1] - this.angles[0]) * this.box.height; }

    // value on the x axis under a pointer
    valueAt(event) {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
      const share = (place.x - this.box.left) / this.box.width;
      return this.view[0] + Math.min(1, Math.max(0, share)) * (this.view[1] - this.view[0]);
    }

    point(row) {
      if (!row || row.x < this.view[0] || row.x > this.view[1]) {
        this.overlay.setAttribute("visibility", "hidden");
        return;
      }
      const px = this.x(row.x);
      this.overlay.setAttribute("visibility", "visible");
      this.crosshair.setAttribute("x1", px);
      this.crosshair.setAttribute("x2", px);
      this.cursor.setAttribute("cx", px);
      this.cursor.setAttribute("cy", row.y === null ? -100 : this.y(row.y));
    }

    pick(from, to) {
      if (from === null) {
        this.picked.setAttribute("visibility", "hidden");
        return;
      }
      const [a, b] = [this.x(Math.min(from, to)), this.x(Math.max(from, to))];
      this.picked.setAttribute("visibility", "visible");
      this.picked.setAttribute("x", a);
      this.picked.setAttribute("width", b - a);
    }

    // draw everything that has a time at its place in the view
    show(view, rows) {
      this.view = view;
      const at = (value) => this.x(Number(value)) - this.box.left;
      for (const element of this.inside.querySelectorAll("[data-t0]")) {
        const [a, b] = [at(element.dataset.t0), at(element.dataset.t1)];
        if (element.tagName === "line") {
          element.setAttribute("x1", a);
          element.setAttribute("x2", a);
        } else {
          element.setAttribute("x", a);
          element.setAttribute("width", Math.max(1, b - a));
        }
      }
      for (const element of this.inside.querySelectorAll("[data-t]")) {
        element.setAttribute(element.tagName === "circle" ? "cx" : "x", at(element.dataset.t));
      }
      this.thin("text.label");
      this.thin("text.rep-number");
      this.inside.querySelector("path.line").setAttribute("d", this.path(rows));
      this.ticks();
    }

    // show the texts that have room; as the server drew it when nothing is zoomed
    thin(selector) {
      const whole = this.view[0] === this.full[0] && this.view[1] === this.full[1];
      let last = -Infinity;
      for (const text of this.inside.querySelectorAll(selector)) {
        const px = Number(text.getAttribute("x"));
        const inside = px >= 0 && px <= this.box.width;
        const fits = whole ? !("crowded" in text.dataset) : inside && px - last >= room(text.textContent);
        text.setAttribute("visibility", fits ? "visible" : "hidden");
        if (fits) last = px;
      }
    }

    path(rows) {
      let drawing = false;
      let d = "";
      for (const row of rows) {
        if (row.y === null) {
          drawing = false;
          continue;
        }
        const place = `${(this.x(row.x) - this.box.left).toFixed(1)} ${(this.y(row.y) - this.box.top).toFixed(1)}`;
        d += drawing ? `L${place}` : `M${place}L${place}`;
        drawing = true;
      }
      return d;
    }

    ticks() {
      const group = this.svg.querySelector(".time-ticks");
      const span = this.view[1] - this.view[0];
      const minutes = this.full[1] >= 150;
      const step = STEPS.find((s) => span / s <= this.box.width / 64) ?? STEPS.at(-1);
      const bottom = this.box.top + this.box.height;
      group.replaceChildren();
      for (let k = Math.ceil(this.view[0] / step - 1e-9); k * step <= this.view[1] + 1e-9; k += 1) {
        const value = k * step;
        const px = this.x(value);
        const text = make("text", { class: "tick", x: px, y: bottom + 19, "text-anchor": "middle", "font-size": 12 });
        const whole = Math.floor(value / 60 + 1e-9);
        const rest = value - whole * 60;
        text.textContent = minutes
          ? `${whole}:${(step < 1 ? rest.toFixed(1) : String(Math.round(rest))).padStart(step < 1 ? 4 : 2, "0")}`
          : String(Number(value.toFixed(1)));
        group.append(make("line", { class: "grid", x1: px, x2: px, y1: bottom, y2: bottom + 5 }), text);
      }
    }
  }

  class Figure {
    constructor(element) {
      this.element = element;
      this.rows = [...element.querySelectorAll("tr[data-x]")].map((row) => ({
        x: Number(row.dataset.x),
        y: row.dataset.y === undefined ? null : Number(row.dataset.y),
        say: row.dataset.say,
      }));
      this.plots = [...element.querySelectorAll("svg.plot")].map((svg) => new Plot(svg, element));
      if (!this.rows.length || !this.plots.length) return;
      this.full = this.plots[0].full;
      this.view = [...this.full];
      this.zooms = "zooms" in element.dataset;
      this.current = null;
      this.head();
      for (const plot of this.plots) this.listen(plot);
    }

    head() {
      const head = document.createElement("div");
      head.className = "chart-head";
      this.readout = document.createElement("output");
      this.readout.className = "readout";
      const touch = matchMedia("(pointer: coarse)").matches;
      this.rest = this.zooms
        ? touch ? "Touch the curve for its values; + enlarges it."
          : "Point at the curve for its values; drag over a part to enlarge it."
        : `${touch ? "Touch" : "Point at"} a session for its values.`;
      this.readout.textContent = this.rest;
      head.append(this.readout);
      if (this.zooms) {
        const group = document.createElement("div");
        group.className = "zoom";
        const button = (text, name, act) => {
          const element = document.createElement("button");
          element.type = "button";
          element.className = "button";
          element.textContent = text;
          element.setAttribute("aria-label", name);
          element.addEventListener("click", act);
          group.append(element);
          return element;
        };
        button("+", "Enlarge", () => this.zoom(0.5));
        this.less = button("\u2212", "Show more time", () => this.zoom(2));
        this.whole = button("Whole session", "Show the whole session", () => this.show(this.full));
        this.less.disabled = this.whole.disabled = true;
        head.append(group);
      }
      this.element.querySelector(".plots").before(head);
    }

    listen(plot) {
      const { svg } = plot;
      let from = null;
      const end = () => { from = null; plot.pick(null); };
      svg.addEventListener("pointermove", (event) => {
        const value = plot.valueAt(event);
        this.point(this.nearest(value));
        if (from !== null) plot.pick(from, value);
      });
      svg.addEventListener("pointerleave", () => { if (from === null) this.point(null); });
      svg.addEventListener("pointerdown", (event) => {
        this.point(this.nearest(plot.valueAt(event)));
        // a finger moves the crosshair; it enlarges by the buttons
        if (!this.zooms || event.pointerType === "touch" || event.button !== 0) return;
        from = plot.valueAt(event);
        svg.setPointerCapture(event.pointerId);
      });
      svg.addEventListener("pointerup", (event) => {
        if (from === null) return;
        const [a, b] = [from, plot.valueAt(event)].sort((one, two) => one - two);
        end();
        if (b - a > (this.view[1] - this.view[0]) / 50) this.show([a, b]);
      });
      svg.addEventListener("pointercancel", end);
      svg.addEventListener("dblclick", () => { if (this.zooms) this.show(this.full); });
      svg.addEventListener("keydown", (event) => this.key(event));
      svg.addEventListener("blur", () => this.point(null));
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const moves = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10 };
      if (event.key in moves) {
        const start = this.current ?? this.nearest(this.view[0]) - Math.sign(moves[event.key]);
        this.point(Math.min(this.rows.length - 1, Math.max(0, start + moves[event.key])));
        this.follow();
      } else if (event.key === "Home" || event.key === "End") {
        this.point(event.key === "Home" ? 0 : this.rows.length - 1);
        this.follow();
      } else if (this.zooms && (event.key === "+" || event.key === "=")) this.zoom(0.5);
      else if (this.zooms && event.key === "-") this.zoom(2);
      else if (this.zooms && (event.key === "Escape" || event.key === "0")) this.show(this.full);
      else return;
      event.preventDefault();
    }

    nearest(value) {
      let [low, high] = [0, this.rows.length - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.rows[middle].x < value) low = middle + 1;
        else high = middle;
      }
      return low > 0 && value - this.rows[low - 1].x < this.rows[low].x - value ? low - 1 : low;
    }

    point(index) {
      this.current = index;
      const row = index === null ? null : this.rows[index];
      this.readout.textContent = row ? row.say : this.rest;
      for (const plot of this.plots) plot.point(row);
    }

    // bring the crosshair into the view
    follow() {
      const { x } = this.rows[this.current];
      const [a, b] = this.view;
      if (x < a) this.show([x, x + b - a]);
      else if (x > b) this.show([x - (b - a), x]);
    }

    zoom(factor) {
      const [a, b] = this.view;
      const centre = this.current === null ? (a + b) / 2 : this.rows[this.current].x;
      const span = (b - a) * factor;
      const start = centre - span * ((centre - a) / (b - a));
      this.show([start, start + span]);
    }

    show([from, to]) {
      const whole = this.full[1] - this.full[0];
      const span = Math.min(whole, Math.max(to - from, Math.min(whole, SMALLEST_SPAN_S)));
      const start = Math.min(Math.max(this.full[0], from), this.full[1] - span);
      this.view = span >= whole * 0.999 ? [...this.full] : [start, start + span];
      this.less.disabled = this.whole.disabled = span >= whole * 0.999;
      for (const plot of this.plots) {
        plot.show([...this.view], this.rows);
        plot.point(this.current === null ? null : this.rows[this.current]);
      }
    }
  }

  for (const element of document.querySelectorAll("figure.chart")) new Figure(element);
})();
