/** The view of one item. `data` is its block, `run` the shared one. */

const picture = (entry, kind = '') => el('img', { src: entry.src, alt: entry.alt, class: kind, decoding: 'async' });
const coarse = (data) => (Math.max(data.height, data.width) <= 320 ? 'coarse' : '');

function aspect(node, entry) {
  node.style.setProperty('--aspect', entry.width / entry.height);
  return node;
}

function panel(title, name, ...children) {
  return el('section', { class: 'panel', 'aria-labelledby': name }, el('h2', { id: name, tabIndex: -1 }, title), ...children);
}

/** Two pictures on top of each other and a boundary to drag; arrow keys, page keys, Home and End move it too. */
function comparison(data) {
  const named = new Map(data.pictures.map((entry) => [entry.name, entry]));
  const left = el('select', { id: 'left' });
  const right = el('select', { id: 'right' });
  for (const entry of data.pictures) {
    left.append(el('option', { value: entry.name }, entry.title));
    right.append(el('option', { value: entry.name }, entry.title));
  }
  left.value = named.has('measurement') ? 'measurement' : 'restored';
  right.value = left.value === 'restored' && data.pictures.length > 1 ? data.pictures[1].name : 'restored';
  const over = el('img', { class: `over ${coarse(data)}`, draggable: false });
  const under = el('img', { class: coarse(data), draggable: false });
  const handle = el('div', { class: 'handle', role: 'slider', tabIndex: 0, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-orientation': 'horizontal' });
  const tags = [el('span', { class: 'tag left' }), el('span', { class: 'tag right' })];
  const box = aspect(el('div', { class: 'compare' }, under, over, ...tags, handle), data);
  const says = el('dl');
  let at = 50;
  const move = (value) => {
    at = Math.min(100, Math.max(0, value));
    box.style.setProperty('--at', `${at}%`);
    handle.setAttribute('aria-valuenow', String(Math.round(at)));
    const [first, second] = [named.get(left.value), named.get(right.value)];
    handle.setAttribute('aria-valuetext', `${Math.round(at)} % ${first.title}, ${Math.round(100 - at)} % ${second.title}`);
    tags[0].hidden = at < 12;
    tags[1].hidden = at > 88;
  };
  const show = () => {
    const [first, second] = [named.get(left.value), named.get(right.value)];
    Object.assign(over, { src: first.src, alt: first.alt });
    Object.assign(under, { src: second.src, alt: second.alt });
    tags[0].textContent = first.title;
    tags[1].textContent = second.title;
    handle.setAttribute('aria-label', `Boundary between ${first.title} and ${second.title}`);
    const scaled = (entry) => (entry.width === data.width ? '' : `${entry.width} x ${entry.height} pixels, scaled to the restored frame; `);
    says.replaceChildren(...[first, second].flatMap((entry) => [el('dt', {}, entry.title), el('dd', {}, sentence(scaled(entry) + entry.says))]));
    move(at);
  };
  const dragged = (event) => {
    const place = box.getBoundingClientRect();
    move((100 * (event.clientX - place.left)) / place.width);
  };
  box.addEventListener('pointerdown', (event) => {
    if (event.button > 0) return;
    box.setPointerCapture(event.pointerId);
    dragged(event);
    handle.focus({ preventScroll: true });
    event.preventDefault();
  });
  box.addEventListener('pointermove', (event) => box.hasPointerCapture(event.pointerId) && dragged(event));
  const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
  handle.addEventListener('keydown', (event) => {
    if (!(event.key in steps)) return;
    move(at + steps[event.key]);
    event.preventDefault();
  });
  left.addEventListener('change', show);
  right.addEventListener('change', show);
  show();
  const choices = el('div', { class: 'choices' }, el('label', {}, 'Left of the boundary', left), el('label', {}, 'Right of it', right), says);
  return panel('Before and after', 'compare-title', el('div', { class: 'stage' }, box, choices));
}

/** Reads the value under the pointer back from the colours of a map. */
function reader(image, entry, output, run) {
  let pixels = null;
  const palette = run.bars[entry.colours].palette;
  const values = new Map(Array.from({ length: run.levels }, (_, i) => [palette.slice(6 * i, 6 * i + 6), i]));
  image.addEventListener('pointermove', (event) => {
    if (!pixels) {
      const canvas = el('canvas', { width: image.naturalWidth, height: image.naturalHeight });
      const context = canvas.getContext('2d', { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    }
    const place = image.getBoundingClientRect();
    const [across, down] = [(event.clientX - place.left) / place.width, (event.clientY - place.top) / place.height];
    const column = Math.min(pixels.width - 1, Math.max(0, Math.floor(across * pixels.width)));
    const row = Math.min(pixels.height - 1, Math.max(0, Math.floor(down * pixels.height)));
    const colour = Array.from(pixels.data.subarray(4 * (row * pixels.width + column), 4 * (row * pixels.width + column) + 3));
    const index = values.get(colour.map((part) => part.toString(16).padStart(2, '0')).join(''));
    const where = `row ${Math.floor((down * entry.height))}, column ${Math.floor(across * entry.width)}`;
    if (index === undefined) {
      output.textContent = `${where}: not observed`;
      return;
    }
    const value = entry.low + ((entry.high - entry.low) * index) / (run.levels - 1);
    const past = index === run.levels - 1 ? 'or more ' : index === 0 && entry.low < 0 ? 'or less ' : '';
    output.textContent = `${where}: ${number(value, 3)} ${past}${entry.unit}`;
  });
  image.addEventListener('pointerleave', () => { output.textContent = ''; });
}

function maps(data, run) {
  const figures = data.maps.map((entry) => {
    const image = aspect(picture(entry, Math.max(entry.height, entry.width) <= 320 ? 'coarse' : ''), entry);
    const output = el('output', { 'aria-hidden': 'true' });
    reader(image, entry, output, run);
    const marks = entry.ticks.map(([place, text]) => {
      const mark = el('span', {}, text);
      mark.style.left = `${100 * place}%`;
      return mark;
    });
    const scale = el(
      'div', { class: 'scale', 'aria-hidden': 'true' },
      el('img', { src: run.bars[entry.colours].bar, alt: '' }), el('div', { class: 'numbers' }, ...marks), el('div', { class: 'unit' }, entry.unit),
    );
    const caption = el('figcaption', {}, el('h3', {}, entry.title), el('p', {}, sentence(entry.says)));
    const numbers = el('p', { class: 'numeric' }, sentence([entry.numbers, entry.beyond].filter(Boolean).join('; ')));
    return el('figure', { 'data-map': entry.name }, caption, el('div', { class: 'frame' }, image), scale, numbers, output);
  });
  const hint = el('p', { class: 'muted small' }, 'Point at a map to read its values.');
  return panel('Maps', 'maps-title', el('div', { class: 'maps' }, ...figures), hint);
}

/** Samples one at a time: buttons, arrow keys, or played. */
function samples(data) {
  const all = data.samples;
  let shown = 0;
  let timer = null;
  const image = aspect(el('img', { class: coarse(data) }), all);
  const status = el('p', { role: 'status' });
  const show = (index) => {
    shown = (index + all.src.length) % all.src.length;
    const misfit = all.misfit.length ? `, misfit ${number(all.misfit[shown], 3)}` : '';
    image.src = all.src[shown];
    image.alt = `Sample ${shown + 1} of ${all.total}${misfit}`;
    status.textContent = `Sample ${shown + 1} of ${all.src.length}${misfit}`;
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = 'Play';
    play.setAttribute('aria-pressed', 'false');
    status.setAttribute('aria-live', 'polite');
  };
  const start = () => {
    timer = setInterval(() => (image.isConnected ? show(shown + 1) : stop()), 500);
    play.textContent = 'Stop';
    play.setAttribute('aria-pressed', 'true');
    status.setAttribute('aria-live', 'off');
  };
  const play = el('button', { type: 'button', 'aria-pressed': 'false', onclick: () => (timer ? stop() : start()) }, 'Play');
  const turn = (by) => { stop(); show(shown + by); };
  const buttons = el(
    'div', { class: 'buttons' },
    el('button', { type: 'button', 'aria-label': 'Previous sample', onclick: () => turn(-1) }, 'Previous'), play, el('button', { type: 'button', 'aria-label': 'Next sample', onclick: () => turn(1) }, 'Next'),
  );
  const fewer = all.src.length < all.total ? ` The first ${all.src.length} of ${all.total} are shown.` : '';
  const text = el('p', { class: 'muted' }, `Each sample is an image that fits the measurement. What differs between them is not known; what stays is.${fewer}`);
  const hint = el('p', { class: 'muted small' }, 'Left and right arrow keys turn them while the picture or a button has the focus.');
  const frame = el('div', { class: 'samples', role: 'group', 'aria-label': 'Samples', onkeydown: (event) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    turn(event.key === 'ArrowLeft' ? -1 : 1);
    event.preventDefault();
  } }, el('div', { tabIndex: 0, 'aria-label': 'Sample shown', role: 'group', id: 'sample' }, image), el('div', {}, status, buttons, text, hint));
  show(0);
  return panel('Samples', 'samples-title', frame);
}

function scores(data, run) {
  const rows = data.scores.map((score) => {
    const known = run.metrics.find((metric) => metric.name === score.name);
    const unit = known.unit ? ` ${known.unit}` : '';
    const each = typeof score.sample === 'number' ? number(score.sample) + unit : '';
    return el(
      'tr', {}, el('th', { scope: 'row' }, score.name.toUpperCase()), el('td', { 'data-label': 'restored' }, number(score.value) + unit),
      el('td', { 'data-label': 'a sample, on average' }, each), el('td', {}, known.definition),
    );
  });
  const parts = ['Metric', 'Restored', 'A sample, on average', 'Definition'].map((name) => el('th', { scope: 'col' }, name));
  const table = el('table', { class: 'scores' }, el('thead', {}, el('tr', {}, ...parts)), el('tbody', {}, ...rows));
  const own = data.calibration.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, number(value))));
  const calibrated = own.length ? [el('h3', {}, 'Calibration of this item'), el('dl', { class: 'facts' }, ...own)] : [];
  const place = data.place ? el('p', {}, sentence(data.place)) : '';
  return panel('Scores', 'scores-title', place, rows.length ? table : el('p', { class: 'muted' }, 'No truth was given to this run.'), ...calibrated);
}

function made(data) {
  const facts = data.made.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)));
  const command = el('div', { class: 'code' }, el('pre', { tabIndex: 0, 'aria-label': 'Command' }, data.command), copyButton());
  const recipe = el('p', {}, 'recipe.yaml is ', el('a', { href: '#/made' }, 'the recipe of the run'), ', with versions, licence and training data of the prior.');
  return panel('How it was made', 'item-made-title', el('dl', { class: 'facts' }, ...facts), el('h3', {}, 'To repeat it'), command, recipe);
}

function verdict(data) {
  const faults = data.faults.filter(([level]) => level !== 'note');
  const badges = data.faults.map(([level, badge]) => el('li', { class: `badge ${level}` }, badge));
  if (!faults.length) badges.unshift(el('li', { class: 'badge good' }, 'nothing against it'));
  const against = data.faults.map(([level, , text]) => el('li', { class: level }, sentence(text)));
  const lines = [...data.evidence, ...data.notes].map((text) => el('li', {}, sentence(text)));
  const jumps = [['compare-title', 'Before and after'], ['maps-title', 'Maps'], ['samples-title', 'Samples'], ['charts-title', 'Histograms'], ['scores-title', 'Scores'], ['item-made-title', 'How it was made']];
  return el(
    'section', { class: 'panel verdict', 'aria-labelledby': 'item-title' },
    el('h2', { id: 'item-title', tabIndex: -1 }, data.item), el('ul', { class: 'badges', 'aria-label': 'In short' }, ...badges),
    against.length ? el('h3', {}, 'What is wrong with it') : '', against.length ? el('ul', { class: 'says against' }, ...against) : '',
    el('h3', {}, 'What it says of itself'), el('ul', { class: 'says' }, ...(data.place ? [el('li', {}, sentence(data.place))] : []), ...lines),
    el('nav', { class: 'jump', 'aria-label': 'Parts of this item' }, ...jumps.map(([id, text]) => el('a', { href: `#${id}`, 'data-jump': id, onclick: jump }, text))),
  );
}

/** To a part of the view without a change of the address, which names the item. */
function jump(event) {
  event.preventDefault();
  const target = document.getElementById(event.currentTarget.dataset.jump);
  if (target) {
    target.scrollIntoView();
    target.focus({ preventScroll: true });
  }
}

function copyButton() {
  return el('button', { type: 'button', class: 'copy', onclick: copy }, 'Copy');
}

async function copy(event) {
  const button = event.currentTarget;
  const pre = button.parentElement.querySelector('pre');
  try {
    await navigator.clipboard.writeText(pre.textContent);
    button.textContent = 'Copied';
  } catch {
    getSelection().selectAllChildren(pre);
    button.textContent = 'Selected';
  }
}

function itemView(data, run) {
  const curves = [...data.histograms.map(histogram), data.convergence ? convergence(data.convergence) : null].filter(Boolean);
  const about = [data.bands, data.units, data.reduced].filter(Boolean).map((text) => el('p', { class: 'muted small' }, sentence(text)));
  const parts = [
    verdict(data), data.pictures.length ? comparison(data) : null, data.maps.length ? maps(data, run) : null, data.samples ? samples(data) : null,
    curves.length ? panel('Histograms and convergence', 'charts-title', el('div', { class: 'charts' }, ...curves)) : null, scores(data, run), made(data),
  ].filter(Boolean);
  parts[0].append(...about);
  for (const link of parts[0].querySelectorAll('[data-jump]')) link.hidden = !parts.some((part) => part.querySelector(`#${link.dataset.jump}`));
  return parts;
}
