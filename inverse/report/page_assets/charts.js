'use strict';

/** An element with properties (on... are listeners, aria- and data- attributes) and children; text is always text, never markup. */
function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'class') node.className = value;
    else if (name in node && !name.includes('-')) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return node;
}

function svg(tag, props = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A number with four significant digits and thousands apart. */
function number(value, digits = 4) {
  if (value === null || value === undefined) return 'unknown';
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  return Number(value.toPrecision(digits)).toLocaleString('en', { maximumSignificantDigits: digits });
}

function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

const BOX = { width: 380, height: 230, left: 46, right: 24, top: 12, bottom: 40 };

/** Positions of data on the paper of a chart. */
function frame(low, high, bottom, top) {
  const wide = BOX.width - BOX.left - BOX.right;
  const high_ = BOX.height - BOX.top - BOX.bottom;
  return {
    x: (value) => BOX.left + (wide * (value - low)) / (high - low),
    y: (value) => BOX.top + high_ * (1 - (value - bottom) / (top - bottom)),
  };
}

function paper(label, at, across, up, names) {
  const end = BOX.height - BOX.bottom;
  const node = svg('svg', { viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: 'img', 'aria-label': label });
  for (const [value, text] of up) {
    node.append(
      svg('path', { class: 'axis', d: `M${BOX.left} ${at.y(value)}H${BOX.width - BOX.right}` }),
      svg('text', { x: BOX.left - 6, y: at.y(value) + 4, 'text-anchor': 'end' }, text),
    );
  }
  for (const [value, text] of across) {
    node.append(
      svg('path', { class: 'axis', d: `M${at.x(value)} ${end}v5` }),
      svg('text', { x: at.x(value), y: end + 17, 'text-anchor': 'middle' }, text),
    );
  }
  node.append(
    svg('path', { class: 'axis', d: `M${BOX.left} ${end}H${BOX.width - BOX.right}` }),
    svg('text', { x: (BOX.left + BOX.width - BOX.right) / 2, y: BOX.height - 5, 'text-anchor': 'middle' }, names),
  );
  return node;
}

const line = (points) => points.map(([x, y], i) => `${i ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');

function legend(entries) {
  return el('ul', { class: 'legend' }, ...entries.map(([kind, text]) => el('li', { class: kind }, text)));
}

function chart(title, drawing, entries, ...says) {
  const notes = says.filter(Boolean).map((text) => el('p', { class: 'muted small' }, sentence(text)));
  return el('figure', {}, el('h3', {}, title), drawing, legend(entries), ...notes);
}

const KINDS = ['first', 'second', 'third'];

function histogram(data) {
  const normal = (value) => Math.exp((-value * value) / 2) / Math.sqrt(2 * Math.PI);
  const top = 1.08 * Math.max(data.normal ? normal(0) : 0, ...data.series.flatMap((series) => series.density), 1e-12);
  const at = frame(data.low, data.high, 0, top);
  const ticks = data.ticks.map(([place, text]) => [data.low + place * (data.high - data.low), text]);
  const label = `Histogram of ${data.title.toLowerCase()}: ${data.says}`;
  const node = paper(label, at, ticks, [[0, '0']], data.unit);
  const order = ['restored', 'measurement', 'truth'];
  const entries = [];
  data.series.forEach((series, i) => {
    const kind = KINDS[Math.max(order.indexOf(series.name), 0)] ?? KINDS[i];
    const step = (data.high - data.low) / series.density.length;
    const points = series.density.flatMap((value, bin) => [
      [at.x(data.low + bin * step), at.y(value)],
      [at.x(data.low + (bin + 1) * step), at.y(value)],
    ]);
    const closed = `${line(points)}L${at.x(data.high)} ${at.y(0)}L${at.x(data.low)} ${at.y(0)}Z`;
    node.append(svg('path', { class: `area ${kind}`, d: closed }), svg('path', { class: `curve ${kind}`, d: line(points) }));
    entries.push([kind, series.name]);
  });
  if (data.normal) {
    const points = Array.from({ length: 101 }, (_, i) => data.low + (i * (data.high - data.low)) / 100);
    node.append(svg('path', { class: 'reference', d: line(points.map((value) => [at.x(value), at.y(normal(value))])) }));
    entries.push(['reference', 'normal distribution']);
  }
  return chart(data.title, node, entries, data.says, data.beyond);
}

function convergence(data) {
  const values = data.curves.flat().filter((value) => value > 0);
  if (!values.length) return null;
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(Math.ceil(Math.log10(Math.max(...values))), low + 1);
  const at = frame(1, Math.max(data.steps, 2), low, high);
  const every = Math.ceil((high - low) / 4);
  const up = [];
  for (let power = low; power <= high; power += every) up.push([power, `1e${power}`]);
  const count = data.curves[0].length;
  const across = [0, Math.floor((count - 1) / 2), count - 1].map((i) => {
    const step = i * data.step + 1;
    return [step, data.sigma[i] === undefined ? String(step) : `${step} (${number(data.sigma[i], 2)})`];
  });
  const names = data.sigma.length ? 'step (noise level)' : 'step';
  const node = paper(`Change of the estimate from step to step: ${data.says}`, at, across, up, names);
  const place = (curve) => curve.map((value, i) => [at.x(i * data.step + 1), at.y(Math.log10(Math.max(value, 10 ** low)))]);
  for (const curve of data.curves) node.append(svg('path', { class: 'curve thin first', d: line(place(curve)) }));
  const mean = data.curves[0].map((_, i) => data.curves.reduce((sum, curve) => sum + curve[i], 0) / data.curves.length);
  node.append(svg('path', { class: 'curve first', d: line(place(mean)) }));
  return chart('Convergence', node, [['first', 'rms change of the estimate, thin: each sample']], data.says);
}

const PERCENT = [0, 0.25, 0.5, 0.75, 1].map((value) => [value, `${100 * value} %`]);

/** Curves of a share against a level, with the diagonal where they should lie. */
function shares(title, levels, coverage, band, across, says) {
  const at = frame(0, 1, 0, 1);
  const node = paper(`${title}: ${says}`, at, PERCENT, PERCENT, across);
  if (band) {
    const [low, high] = band;
    const edge = [...levels.map((x, i) => [at.x(x), at.y(low[i])]), ...levels.map((x, i) => [at.x(x), at.y(high[i])]).reverse()];
    node.append(svg('path', { class: 'area first', d: `${line(edge)}Z` }));
  }
  node.append(
    svg('path', { class: 'reference', d: line([[at.x(0), at.y(0)], [at.x(1), at.y(1)]]) }),
    svg('path', { class: 'curve first', d: line(levels.map((x, i) => [at.x(x), at.y(coverage[i])])) }),
  );
  return chart(title, node, [['first', 'this run'], ['reference', 'calibrated']], says);
}

function ranks(data) {
  const top = 1.15 * Math.max(...data.counts, data.band ? data.band[1] : 0, 1);
  const at = frame(0, data.counts.length, 0, top);
  const says = 'flat where a truth is one more sample; a valley: too narrow, a hill: too wide, a slope: biased';
  const node = paper(`Ranks of the truth among the samples: ${says}`, at, [[0, 'lowest'], [data.counts.length, 'highest']], [[0, '0']], 'rank of the truth');
  if (data.band) {
    const edge = [[at.x(0), at.y(data.band[0])], [at.x(data.counts.length), at.y(data.band[0])], [at.x(data.counts.length), at.y(data.band[1])], [at.x(0), at.y(data.band[1])]];
    node.append(svg('path', { class: 'area second', d: `${line(edge)}Z` }));
  }
  data.counts.forEach((count, i) => {
    const corners = [[at.x(i + 0.08), at.y(0)], [at.x(i + 0.08), at.y(count)], [at.x(i + 0.92), at.y(count)], [at.x(i + 0.92), at.y(0)]];
    node.append(svg('path', { class: 'curve first', d: line(corners) }));
  });
  if (data.expected) node.append(svg('path', { class: 'reference', d: `M${at.x(0)} ${at.y(data.expected)}H${at.x(data.counts.length)}` }));
  const entries = [['first', 'this run'], ['reference', 'expected'], ...(data.band ? [['second', 'what chance allows']] : [])];
  return chart('Ranks of the truth', node, entries, says);
}

function spreadSkill(data) {
  const top = 1.05 * Math.max(...data.spread, ...data.error, 1e-12);
  const at = frame(0, top, 0, top);
  const marks = [0, 0.5, 1].map((part) => [part * top, number(part * top, 2)]);
  const says = 'above the line the error is larger than the uncertainty says';
  const node = paper(`Error against uncertainty: ${says}`, at, marks, marks, 'uncertainty (data units), error upwards');
  node.append(
    svg('path', { class: 'reference', d: line([[at.x(0), at.y(0)], [at.x(top), at.y(top)]]) }),
    svg('path', { class: 'curve first', d: line(data.spread.map((x, i) => [at.x(x), at.y(data.error[i])])) }),
  );
  return chart('Error against uncertainty', node, [['first', 'this run'], ['reference', 'calibrated']], says);
}
