/** The list of items, and which view is open: the address after # says so (#/ the run, #/item/3, #/made, #/calibration). */

const run = JSON.parse(document.getElementById('run').textContent);
const PAGE = 25;
const state = { sort: 'worst', down: false, page: 0, text: '', faulty: false };
const title = document.title;
const columns = [
  ...run.metrics.map((metric) => ({ name: metric.name, title: metric.name.toUpperCase() + (metric.unit ? ` (${metric.unit})` : ''), short: metric.name.toUpperCase() })),
  { name: 'misfit', title: 'Misfit', short: 'misfit', decimals: 2 },
  { name: 'coverage90', title: '90 % intervals hold', short: '90 % hold', percent: true },
  { name: 'data_share', title: 'Data share', short: 'data', percent: true },
].filter((column) => run.items.some((entry) => column.name in entry.numbers));

function chosen() {
  const text = state.text.toLowerCase();
  const found = run.items.map((entry, index) => ({ entry, index })).filter(({ entry }) => {
    if (state.faulty && !entry.faults.some(([level]) => level !== 'note')) return false;
    return !text || entry.item.toLowerCase().includes(text) || entry.faults.some(([, badge]) => badge.toLowerCase().includes(text));
  });
  if (state.sort === 'worst') return state.down ? found.reverse() : found;
  const by = state.sort === 'item'
    ? (a, b) => a.entry.item.localeCompare(b.entry.item, 'en', { numeric: true })
    : (a, b) => (a.entry.numbers[state.sort] ?? Infinity) - (b.entry.numbers[state.sort] ?? Infinity);
  return found.sort((a, b) => (state.down ? by(b, a) : by(a, b)));
}

const written = (column, value) => (value === undefined ? '' : column.percent ? `${Math.round(100 * value)} %` : column.decimals ? value.toFixed(column.decimals) : number(value));

function badges(entry) {
  const shown = entry.faults.length ? entry.faults.map(([level, text]) => el('li', { class: `badge ${level}` }, text)) : [el('li', { class: 'badge good' }, 'nothing against it')];
  return el('ul', { class: 'badges' }, ...shown);
}

function listRow({ entry, index }) {
  const image = entry.thumb ? el('img', { src: entry.thumb, alt: '' }) : el('div', { class: 'none' });
  const link = el('a', { href: `#/item/${index + 1}` }, entry.item);
  return el(
    'tr', { role: 'row' }, el('td', { class: 'thumb', role: 'cell' }, image),
    el('th', { scope: 'row', role: 'rowheader' }, link, el('span', { class: 'sentence' }, sentence(entry.says))),
    ...columns.map((column) => el('td', { class: 'number', role: 'cell', 'data-label': column.short }, written(column, entry.numbers[column.name]))),
    el('td', { role: 'cell' }, badges(entry)),
  );
}

function heading(name, text, kind = '') {
  const sorted = state.sort === name ? (state.down ? 'descending' : 'ascending') : 'none';
  const sort = () => {
    Object.assign(state, { down: state.sort === name ? !state.down : false, sort: name, page: 0 });
    draw(name);
  };
  return el('th', { scope: 'col', role: 'columnheader', 'aria-sort': sorted, class: kind }, el('button', { type: 'button', 'data-sort': name, onclick: sort }, text));
}

const parts = { body: el('div', { class: 'items' }), pager: el('nav', { class: 'pager', 'aria-label': 'Pages of the list' }), status: el('p', { role: 'status' }) };

function draw(focus = '') {
  const found = chosen();
  const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
  state.page = Math.min(state.page, last);
  const first = state.page * PAGE;
  const shown = found.slice(first, first + PAGE);
  const head = el(
    'tr', { role: 'row' }, el('td', { role: 'cell' }), heading('item', 'Item'), ...columns.map((column) => heading(column.name, column.title, 'number')),
    heading('worst', 'What is wrong'),
  );
  const table = el(
    'table', { role: 'table', 'aria-label': 'Items' }, el('thead', { role: 'rowgroup' }, head), el('tbody', { role: 'rowgroup' }, ...shown.map(listRow)),
  );
  parts.body.replaceChildren(table);
  const span = shown.length ? `${first + 1} to ${first + shown.length} of ${found.length.toLocaleString('en')}` : 'none fits';
  parts.status.textContent = found.length === run.items.length && last === 0 ? `${found.length} item${found.length === 1 ? '' : 's'}` : span;
  const go = (text, page) => el('button', { type: 'button', 'data-page': text, disabled: page < 0 || page > last || page === state.page, onclick: () => { state.page = page; draw(`page ${text}`); } }, text);
  parts.pager.hidden = last === 0;
  parts.pager.replaceChildren(go('First', 0), go('Previous', state.page - 1), el('span', {}, span), go('Next', state.page + 1), go('Last', last));
  sorter.value = state.sort;
  if (focus.startsWith('page ')) {
    const button = parts.pager.querySelector(`[data-page="${focus.slice(5)}"]`);
    (button.disabled ? document.getElementById('items-title') : button).focus();
  } else if (focus) parts.body.querySelector(`[data-sort="${focus}"]`)?.focus();
}

const sorter = el('select', { onchange: () => { Object.assign(state, { sort: sorter.value, down: false, page: 0 }); draw(); } },
  el('option', { value: 'worst' }, `worst first: ${run.orderedBy}`), el('option', { value: 'item' }, 'by name'),
  ...columns.map((column) => el('option', { value: column.name }, `by ${column.title}, lowest first`)));

function tools() {
  const search = el('input', { type: 'search', placeholder: 'name or fault', oninput: () => { Object.assign(state, { text: search.value, page: 0 }); draw(); } });
  const box = el('input', { type: 'checkbox', onchange: () => { Object.assign(state, { faulty: box.checked, page: 0 }); draw(); } });
  return el('div', { class: 'tools' }, el('label', { class: 'search' }, 'Find', search), el('label', { class: 'order' }, 'Order', sorter), el('label', {}, box, 'only what is doubted'), parts.status);
}

function worst() {
  const entry = run.items[0];
  const section = document.getElementById('worst');
  if (!entry || run.items.length < 2) return;
  section.hidden = false;
  const image = entry.thumb ? el('img', { src: entry.thumb, alt: '' }) : el('span');
  const scores = columns.slice(0, 3).map((column) => `${column.short} ${written(column, entry.numbers[column.name])}`).join(', ');
  section.append(el(
    'div', { class: 'panel worst' }, image,
    el('div', {}, el('h2', { id: 'worst-title' }, `The worst: ${entry.item}`), el('p', {}, sentence(entry.says)), badges(entry), el('p', { class: 'muted small' }, scores)),
    el('a', { class: 'main-button', href: '#/item/1' }, 'See what is wrong'),
  ));
}

function calibration() {
  const data = run.calibration;
  if (!data) return;
  const section = document.getElementById('calibration');
  section.hidden = document.getElementById('to-calibration').hidden = false;
  const figures = [];
  if (data.levels?.length) {
    const band = data.coverage_low?.length ? [data.coverage_low, data.coverage_high] : null;
    figures.push(shares('Coverage of intervals', data.levels, data.coverage, band, 'content of the interval', 'under the line the intervals are too narrow, above it too wide; band: what these items leave open'));
  }
  if (data.tarp?.levels?.length) {
    const band = data.tarp.coverage_low?.length ? [data.tarp.coverage_low, data.tarp.coverage_high] : null;
    figures.push(shares('TARP', data.tarp.levels, data.tarp.coverage, band, 'credibility level', 'the same for many values at once: distances to random reference points'));
  }
  if (data.sbc?.counts?.length) figures.push(ranks(data.sbc));
  if (data.spread_skill?.spread?.length) figures.push(spreadSkill(data.spread_skill));
  const says = (data.says ?? []).map((text) => el('li', {}, sentence(text)));
  section.append(el('div', { class: 'panel' }, el('ul', { class: 'says' }, ...says), el('div', { class: 'charts' }, ...figures)));
}

let opened = 0;

/** Opens item number `place` (from 1) of the list, worst first; its pictures are decoded only now. */
function open(place) {
  const view = document.getElementById('item-view');
  const data = JSON.parse(document.getElementById(`item-${place - 1}`).textContent);
  const order = chosen().map(({ index }) => index + 1);
  const at = order.indexOf(place);
  const step = (by, text) => {
    const target = order[at + by];
    return el('button', { type: 'button', disabled: at < 0 || target === undefined, 'data-step': by, onclick: () => go(`#/item/${target}`) }, text);
  };
  const where = el(
    'nav', { class: 'where', 'aria-label': 'Items' }, el('a', { href: '#/', class: 'main-button' }, 'All items'), step(-1, 'Previous'), step(1, 'Next'),
    el('span', { class: 'muted small' }, at < 0 ? '' : `item ${at + 1} of ${order.length} as listed; keys: p, n, Escape`),
  );
  view.replaceChildren(where, ...itemView(data, run));
  opened = place;
  document.title = `${data.item}: ${title}`;
}

let routed = null;

/** Follows an address at once: the next key may come before the browser says that it has changed. */
function go(hash) {
  location.hash = hash;
  route();
}

function route() {
  if (location.hash === routed) return;
  routed = location.hash;
  const found = /^#\/item\/(\d+)$/.exec(location.hash);
  const place = found ? Number(found[1]) : 0;
  if (location.hash && !location.hash.startsWith('#/')) return;
  const before = opened;
  const single = place >= 1 && place <= run.items.length;
  document.getElementById('run-view').hidden = single;
  document.getElementById('item-view').hidden = !single;
  if (single) {
    open(place);
    scrollTo(0, 0);
    document.getElementById('item-title').focus({ preventScroll: true });
    return;
  }
  opened = 0;
  document.getElementById('item-view').replaceChildren();
  document.title = title;
  const part = { '#/made': 'made-title', '#/calibration': 'calibration-title' }[location.hash];
  if (part) {
    document.getElementById(part).scrollIntoView();
    document.getElementById(part).focus({ preventScroll: true });
  } else if (before) document.querySelector(`a[href="#/item/${before}"]:not(.main-button)`)?.focus();
}

function themes() {
  const root = document.documentElement;
  const button = document.getElementById('theme');
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const now = () => root.dataset.theme ?? (dark.matches ? 'dark' : 'light');
  const name = () => {
    button.textContent = now() === 'dark' ? 'Light' : 'Dark';
    button.setAttribute('aria-label', `Show in ${now() === 'dark' ? 'light' : 'dark'} colours`);
  };
  button.addEventListener('click', () => {
    root.dataset.theme = now() === 'dark' ? 'light' : 'dark';
    name();
  });
  dark.addEventListener('change', name);
  name();
}

addEventListener('hashchange', route);
addEventListener('keydown', (event) => {
  if (!opened || event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input, select, textarea')) return;
  const by = { n: 1, p: -1 }[event.key];
  if (by) document.querySelector(`[data-step="${by}"]`)?.click();
  else if (event.key === 'Escape') go('#/');
});
for (const button of document.querySelectorAll('.copy')) button.addEventListener('click', copy);
document.getElementById('list').append(tools(), parts.body, parts.pager);
themes();
worst();
calibration();
draw();
route();
