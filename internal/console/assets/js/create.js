// Making a key: choosing scopes, and the page that shows the secret.
const $ = (s, r = document) => r.querySelector(s);
const $$ = (s, r = document) => [...r.querySelectorAll(s)];
const { say } = globalThis.postern;

const form = $('[data-scopes]');
if (form) {
  const rows = $$('[data-row]', form);
  const boxes = $$('input.check[name=scope]', form);
  const ticked = $('[data-ticked]', form);
  const search = $('#sq');
  const put = (at, text) => { for (const e of $$(at)) e.textContent = text; };

  // The words come from the server, which knows what opens what.
  let asking;
  const sum = async () => {
    for (const row of rows) row.classList.toggle('sel', $$('input:checked', row).length > 0);
    for (const g of $$('.sgroup', form)) {
      const n = $$('input.check:checked', g).length;
      $('[data-gcount]', g).textContent = n ? `${n} chosen` : '';
    }
    put('[data-nsel]', String(new FormData(form).getAll('scope').length));
    const now = boxes.filter((b) => b.checked).map((b) => b.value).sort().join(' ');
    for (const c of $$('[data-set]')) c.setAttribute('aria-pressed', c.dataset.set === now);
    asking?.abort();
    asking = new AbortController();
    try {
      const res = await fetch('/keys/new/sum', { method: 'POST', body: new URLSearchParams(new FormData(form)), signal: asking.signal });
      if (!res.ok) return;
      const s = await res.json();
      const li = (name, on, text) => {
        const e = $(`[data-can-${name}]`);
        e.hidden = !on;
        if (text !== undefined) $('[data-t]', e).textContent = text;
      };
      li('r', s.reads !== '', s.reads);
      li('w', s.writes !== '', s.writes);
      li('none', s.chosen === 0);
      li('ro', s.writes === '' && s.chosen > 0);
      put('[data-eps]', s.opened.toLocaleString('en-GB'));
      put('[data-pd]', s.data);
      $('[data-epbar]').setAttribute('width', s.share);
    } catch { /* the server says it on the next page */ }
  };
  form.addEventListener('change', (e) => {
    if (e.target.name !== 'scope') return;
    const read = $('input[data-acc=Read]', e.target.closest('[data-row]'));
    if (e.target.checked && e.target.dataset.acc === 'Write' && read && !read.checked && !read.disabled) {
      read.checked = true;
      ticked.hidden = false;
      say('Read was ticked too. Most tools read before they write. Untick it if yours does not.');
    }
    sum();
  });
  for (const chip of $$('[data-set]', form)) {
    chip.addEventListener('click', (e) => {
      e.preventDefault();
      const set = chip.dataset.set.split(' ');
      for (const b of boxes) b.checked = !b.disabled && set.includes(b.value);
      for (const h of $$('input[type=hidden][name=scope]', form)) h.remove();
      ticked.hidden = true;
      sum();
      find();
      say(`Scopes set to: ${chip.textContent}.`);
    });
  }

  // Search: words at once, here; a path by asking the server, which knows all endpoints.
  const first = new Map(rows.map((r) => [r, $$('.eps > *', r)]));
  let looking;
  const only = () => $('#show-chosen').checked;
  const show = (hits) => {
    let n = 0;
    for (const r of rows) {
      const hit = hits(r) && (!only() || r.classList.contains('sel'));
      r.hidden = !hit;
      if (hit) n++;
    }
    for (const g of $$('.sgroup', form)) g.hidden = !$$('[data-row]', g).some((r) => !r.hidden);
    $('[data-nores]').hidden = n > 0;
  };
  const endpoint = (e) => {
    const li = document.createElement('li');
    const i = document.createElement('i');
    const span = document.createElement('span');
    i.textContent = e.method;
    span.textContent = e.path;
    if (e.also) {
      const also = document.createElement('span');
      also.className = 'also';
      also.textContent = ` also needs ${e.also}`;
      span.append(also);
    }
    li.append(i, span);
    return li;
  };
  const find = async () => {
    const q = search.value.trim().toLowerCase();
    looking?.abort();
    for (const [r, eps] of first) $('.eps', r).replaceChildren(...eps);
    const words = q.split(/\s+/);
    show((r) => words.every((w) => r.dataset.find.includes(w)));
    if (q.length < 3) {
      if (!q) for (const r of rows) $('details', r).open = false;
      return;
    }
    looking = new AbortController();
    try {
      const res = await fetch(`/keys/new/find?q=${encodeURIComponent(q)}`, { signal: looking.signal });
      if (!res.ok) return;
      const found = await res.json();
      show((r) => r.dataset.row in found);
      for (const r of rows) {
        const f = found[r.dataset.row];
        if (!f?.eps) continue;
        $('.eps', r).replaceChildren(...f.eps.map(endpoint));
        $('details', r).open = true;
      }
    } catch { /* what was found here stays */ }
  };
  let pause;
  search.addEventListener('input', () => { clearTimeout(pause); pause = setTimeout(find, 120); });
  search.addEventListener('keydown', (e) => { if (e.key === 'Enter') { e.preventDefault(); find(); } });
  for (const b of $$('input[name=show]', form)) b.addEventListener('change', find);
  // The server searched for what it put into the field. A browser that brings a page back may have put in something else.
  if (search.value !== search.defaultValue || only() !== $('#show-chosen').defaultChecked) find();
}

const reveal = $('[data-reveal]');
if (reveal) {
  const secret = $('#secret');
  let copied = false;
  reveal.addEventListener('firstcall', (e) => { if (e.detail === 'ok') copied = true; }); // it is where it belongs
  document.addEventListener('copied', (e) => { if (e.target.dataset.from === '#secret') copied = true; });
  secret.addEventListener('copy', () => { copied = true; });

  const mask = $('[data-mask]');
  const file = $('[data-file]');
  mask.hidden = false;
  file.hidden = false;
  mask.addEventListener('click', () => {
    const hide = secret.classList.toggle('masked');
    mask.setAttribute('aria-pressed', hide);
    $('span', mask).textContent = hide ? 'Show' : 'Hide';
  });

  // The file is made here, from the text of the page: no address ever holds the secret.
  file.addEventListener('click', () => {
    const a = document.createElement('a');
    a.href = URL.createObjectURL(new Blob([`${file.dataset.line}${secret.textContent}\n`], { type: 'text/plain' }));
    a.download = file.dataset.file;
    a.dataset.free = '';
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 1000);
    copied = true;
    say('The file is in your downloads. Move it where it belongs, and delete it afterwards.');
  });

  const leave = $('#leave');
  document.addEventListener('click', (e) => {
    const a = e.target.closest('a[href]');
    if (copied || !a || 'free' in a.dataset || 'leave' in a.dataset || a.target || a.hasAttribute('download') || a.getAttribute('href').startsWith('#') || e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    $('[data-leave]').href = a.href;
    leave.showModal();
  });
  $('[data-leave]').addEventListener('click', () => { copied = true; });
  addEventListener('beforeunload', (e) => { if (!copied) e.preventDefault(); });
}
