// What the search box proposes while one types. A text that looks like a secret is
// never asked about.
const form = document.querySelector('.top [data-search]');
const input = form.querySelector('input[name=q]');
const list = document.createElement('ul');
list.className = 'proposals';
list.id = 'proposals';
list.role = 'listbox';
list.ariaLabel = 'Proposals';
list.hidden = true;
const heard = document.createElement('span'); // how many there are, for who can't see them
heard.className = 'sr';
heard.role = 'status';
form.append(list, heard);
input.setAttribute('role', 'combobox');
input.setAttribute('aria-autocomplete', 'list');
input.setAttribute('aria-controls', list.id);
input.setAttribute('aria-expanded', 'false');

let at = -1;
let timer;
let asking;

function close() {
  list.hidden = true;
  at = -1;
  input.setAttribute('aria-expanded', 'false');
  input.removeAttribute('aria-activedescendant');
}

function options() { return [...list.querySelectorAll('[role=option]')]; }

function choose(i) {
  const all = options();
  if (!all.length) return;
  at = (i + all.length) % all.length;
  all.forEach((o, n) => o.setAttribute('aria-selected', n === at));
  input.setAttribute('aria-activedescendant', all[at].id);
  all[at].scrollIntoView({ block: 'nearest' });
}

function text(tag, words) {
  const e = document.createElement(tag);
  e.textContent = words;
  e.dir = 'auto';
  return e;
}

function option(n, name, kind, more, link) {
  const li = document.createElement('li');
  li.role = 'option';
  li.id = `proposal-${n}`;
  li.dataset.link = link;
  li.setAttribute('aria-selected', 'false');
  li.append(text('b', name), text('i', kind));
  if (more) li.append(text('small', more));
  return li;
}

function show(nodes, words) {
  list.replaceChildren(...nodes);
  list.hidden = nodes.length === 0;
  at = -1;
  input.removeAttribute('aria-activedescendant');
  input.setAttribute('aria-expanded', String(!list.hidden));
  heard.textContent = words;
}

async function ask() {
  const q = input.value.trim();
  asking?.abort();
  if (q.length < 2) { close(); return; }
  if (globalThis.postern.secret(q)) {
    input.value = '';
    close();
    globalThis.postern.say('That looks like a secret. We did not send it anywhere. Search with its last 4 characters.');
    return;
  }
  asking = new AbortController();
  try {
    const res = await fetch(`/search.json?q=${encodeURIComponent(q)}`, { signal: asking.signal, headers: { Accept: 'application/json' } });
    const got = await res.json();
    if (got.error) { close(); globalThis.postern.say(got.error); return; }
    const nodes = got.items.map((x, n) => option(n, x.name, x.kind, x.text, x.link));
    nodes.push(option(nodes.length, got.items.length ? 'See all that is found' : 'Nothing proposed. Search everything', '', '', got.all));
    show(nodes, got.items.length === 1 ? '1 proposal' : `${got.items.length} proposals`);
  } catch { /* typed on, or offline: Enter still leads to the page */ }
}

input.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(ask, 160); });
input.addEventListener('keydown', (e) => {
  if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
    if (list.hidden) { ask(); return; }
    e.preventDefault();
    choose(e.key === 'ArrowDown' ? at + 1 : (at < 0 ? 0 : at) - 1);
  } else if (e.key === 'Enter' && at >= 0) {
    e.preventDefault();
    location.assign(options()[at].dataset.link);
  } else if (e.key === 'Escape' && !list.hidden) {
    e.stopPropagation();
    close();
  }
});
list.addEventListener('mousedown', (e) => e.preventDefault());
list.addEventListener('click', (e) => {
  const o = e.target.closest('[role=option]');
  if (o) location.assign(o.dataset.link);
});
input.addEventListener('blur', close);
if (input.value && document.activeElement === input) ask();
