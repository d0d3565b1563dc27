// Rotating: leaving the new secret uncopied asks once, and the view of both
// secrets follows what happens. Both pages say all of it without this.
const $ = (s, r = document) => r.querySelector(s);
const { times } = globalThis.postern;

// A number of days means that time.
const days = $('#f-days');
days?.addEventListener('input', () => { $('input[name=grace][value=other]').checked = true; });

const reveal = $('[data-reveal]');
if (reveal) {
  const out = $('#secret');
  const mask = $('[data-mask]');
  const text = out.textContent;
  let safe = false;
  mask.hidden = false;
  mask.addEventListener('click', () => {
    const hide = mask.getAttribute('aria-pressed') === 'false';
    mask.setAttribute('aria-pressed', hide);
    $('span', mask).textContent = hide ? 'Show' : 'Hide';
    out.textContent = hide ? `${text.slice(0, 4)}${'•'.repeat(24)}${text.slice(-4)}` : text;
  });
  const copy = $('[data-from="#secret"]');
  const file = $('[data-file]');
  file.hidden = false;
  // The file is made here, from the text of the page: no address ever holds the secret.
  file.addEventListener('click', () => {
    const a = document.createElement('a');
    a.href = URL.createObjectURL(new Blob([`POSTERN_KEY=${text}\n`], { type: 'text/plain' }));
    a.download = file.dataset.file;
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 1000);
    safe = true;
    globalThis.postern.say('The file is in your downloads. Move it where it belongs, and delete it afterwards.');
  });
  copy.removeAttribute('data-from');
  copy.dataset.copy = text;
  const saved = () => { safe = true; };
  copy.addEventListener('copied', saved);
  document.addEventListener('copy', (e) => { if (getSelection().toString().includes(text)) saved(e); });
  addEventListener('beforeunload', (e) => { if (!safe) e.preventDefault(); });
  const ask = $('#d-leave');
  let to = '';
  document.addEventListener('click', (e) => {
    const a = e.target.closest('a[href]');
    if (!a || safe || a.target || a.hasAttribute('data-stay') || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    to = a.href;
    ask.showModal();
  });
  $('[data-leave-now]').addEventListener('click', () => { safe = true; location.assign(to); });
  $('[data-copy-stay]').addEventListener('click', () => { ask.close(); copy.click(); copy.focus(); });
  // The download of addresses answers with a file: the page stays.
  for (const a of document.querySelectorAll('a[data-stay]')) a.addEventListener('click', () => { const had = safe; safe = true; setTimeout(() => { safe = had; }, 1000); });
}

const watch = $('[data-watch]');
if (watch) {
  const hold = $('#watch-pause');
  const told = $('[data-w-said]');
  const set = (name, value) => {
    const el = $(`[data-w="${name}"]`);
    if (el && el.textContent !== value) el.textContent = value;
  };
  const el = (tag, cls, text) => {
    const n = document.createElement(tag);
    if (cls) n.className = cls;
    if (text !== undefined) n.textContent = text;
    return n;
  };
  const own = (tag, cls, text) => {
    const n = el(tag, cls);
    n.append(el('bdi', '', text));
    return n;
  };
  const svg = (tag, at) => {
    const n = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [k, v] of Object.entries(at)) n.setAttribute(k, v);
    return n;
  };
  const num = (n) => n.toLocaleString('en');

  const drawChart = (d) => {
    const plot = $('[data-w-chart] .plot svg');
    if (!plot) return;
    for (const g of plot.querySelectorAll('g, .mark')) g.remove();
    const step = 1000 / d.bars.length;
    d.bars.forEach((b, i) => {
      const g = svg('g', { 'data-tip': [b.name, ...b.values.map((v, j) => `${d.names[j]}\t${num(v)}`)].join('\n') });
      g.append(svg('rect', { class: 'hit', x: (i * step).toFixed(2), y: 0, width: step.toFixed(2), height: 200 }));
      let y = 200;
      b.values.forEach((v, j) => {
        if (!v) return;
        const h = (v / d.top) * 200;
        y -= h;
        g.append(svg('rect', { class: j ? 'b2' : 'b1', x: (i * step + step * 0.14).toFixed(2), y: y.toFixed(2), width: (step * 0.72).toFixed(2), height: h.toFixed(2) }));
      });
      plot.append(g);
    });
    if (d.mark) plot.append(svg('line', { class: 'mark', x1: (d.mark * step).toFixed(2), x2: (d.mark * step).toFixed(2), y1: 0, y2: 200 }));
    plot.setAttribute('aria-label', d.label);
    const ys = document.querySelectorAll('[data-w-chart] .y span');
    [d.top, Math.floor(d.top / 2), 0].forEach((v, i) => { if (ys[i]) ys[i].textContent = num(v); });
    const xs = document.querySelectorAll('[data-w-chart] .x span');
    d.ticks.forEach((t, i) => { if (xs[i]) xs[i].textContent = t; });
    $('[data-w-table]').replaceChildren(...d.bars.map((b) => {
      const tr = el('tr');
      const th = el('th', '', b.name);
      th.scope = 'row';
      tr.append(th, ...b.values.map((v) => el('td', 'r num', num(v))));
      return tr;
    }));
  };

  const drawLists = (d) => {
    const places = $('[data-w-places]');
    if (places && d.places) {
      const none = $('[data-w-noplace]');
      if (none) none.hidden = true;
      places.replaceChildren(...d.places.map((p) => {
        const li = el('li');
        li.append(own('span', '', p.name), own('span', 'sub', p.sub), el('span', `pill ${p.kind}`.trim(), p.pill));
        return li;
      }));
    }
    const calls = $('[data-w-calls]');
    if (calls && d.calls) {
      calls.replaceChildren(...d.calls.map((c) => {
        const tr = el('tr');
        const when = el('td', 'num nowrap muted');
        const t = el('time', '', c.clock);
        t.dateTime = c.at;
        when.append(t);
        const what = el('td');
        const path = el('span', 'path');
        const code = el('code');
        code.title = c.path;
        code.append(el('bdi', '', c.path));
        path.append(el('span', 'meth', c.method), code);
        what.append(path);
        const answer = el('td');
        answer.append(el('span', `st ${c.ok ? 'ok' : 'bad'}`, c.status || (c.ok ? 'Yes' : 'No')));
        const client = own('td', 'col-l muted trunc', c.client);
        client.title = c.client;
        tr.append(when, what, answer, own('td', 'col-l num', c.ip), client);
        return tr;
      }));
      times(calls);
    }
  };

  let spoken = Date.now();
  let heading = $('[data-w="heading"]').textContent;
  const follow = async () => {
    if (hold.checked || document.hidden || document.querySelector('dialog[open]')) return;
    let d;
    try {
      const res = await fetch(watch.dataset.watch, { headers: { Accept: 'application/json' } });
      if (!res.ok || res.redirected) return;
      d = await res.json();
    } catch {
      return; // offline: the next turn tries again
    }
    if (d.over) {
      location.reload();
      return;
    }
    for (const name of ['heading', 'endsIn', 'left']) set(name, d[name]);
    if (d.places) set('lead', d.lead);
    set('newCalls', d.new.calls);
    set('newLast', d.new.last);
    set('oldCalls', d.old.calls);
    set('oldLast', d.old.last);
    watch.classList.toggle('ok', d.tone === 'ok');
    drawChart(d);
    drawLists(d);
    // At most once a minute, and only what changed.
    if (d.heading !== heading && Date.now() - spoken > 60000) {
      told.textContent = d.heading;
      spoken = Date.now();
      heading = d.heading;
    }
  };
  setInterval(follow, 5000);
}
