// What every page does a little better with scripts. Each page works without.
const $ = (s, r = document) => r.querySelector(s);
const $$ = (s, r = document) => [...r.querySelectorAll(s)];
document.documentElement.classList.add('js');

// The live region is there from the start; text is put into it.
let toastTimer;
export function say(text) {
  const t = $('.toast');
  t.textContent = '';
  clearTimeout(toastTimer);
  setTimeout(() => { t.textContent = text; }, 40);
  toastTimer = setTimeout(() => { t.textContent = ''; }, 5000);
}

const secure = location.protocol === 'https:' ? '; Secure' : '';
function remember(name, value) {
  document.cookie = `${name}=${encodeURIComponent(value)}; Path=/; Max-Age=34560000; SameSite=Lax${secure}`;
}

// Times: the server says them in the zone of this cookie from the next page on.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) remember('postern_zone', zone);
const exact = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'long' });
export function times(root = document) {
  for (const t of $$('time[datetime]', root)) t.title = exact.format(new Date(t.dateTime));
}
times();

// On a small screen the tabs are wider than it: the current one comes into sight.
for (const tab of $$('.tabs > [aria-current="page"]')) {
  const bar = tab.parentElement;
  if (bar.scrollWidth > bar.clientWidth) bar.scrollLeft = tab.offsetLeft - bar.offsetLeft - (bar.clientWidth - tab.offsetWidth) / 2;
}

// Theme: without a new page.
for (const f of $$('[data-theme-form]')) {
  f.addEventListener('submit', (e) => {
    e.preventDefault();
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    remember('postern_theme', root.dataset.theme);
    f.elements.theme.value = dark ? 'dark' : 'light';
    say(dark ? 'Light theme' : 'Dark theme');
  });
}

// The drawer on phones: the page behind it is inert while it is open.
const opener = $('[data-nav-open]');
function drawer(open) {
  document.body.classList.toggle('nav-open', open);
  opener.setAttribute('aria-expanded', open);
  $('.body').inert = open;
  if (open) $('.side a').focus(); else opener.focus();
}
if (opener) {
  opener.addEventListener('click', () => drawer(true));
  for (const b of $$('[data-nav-close]')) b.addEventListener('click', () => drawer(false));
}

// Menus: one open at a time; Escape and a click elsewhere close it.
document.addEventListener('click', (e) => {
  for (const d of $$('details.menu[open]')) if (!d.contains(e.target)) d.open = false;
});
// A menu near the bottom opens upwards, so that nothing of it is cut off.
document.addEventListener('toggle', (e) => {
  const d = e.target;
  if (!d.matches?.('details.menu') || !d.open) return;
  const pop = $('.pop', d);
  pop.classList.remove('up');
  if (pop.getBoundingClientRect().bottom > innerHeight && d.getBoundingClientRect().top > pop.offsetHeight + 60) pop.classList.add('up');
}, true);

// Keys. None fires inside a field, nor while a dialog is open, and each can be turned off.
let after = '';
const off = new Set((/(?:^|; )postern_shortcuts=([^;]*)/.exec(document.cookie)?.[1] ?? '').split('.').filter(Boolean).map(decodeURIComponent));
for (const box of $$('[data-shortcut]')) {
  box.checked = !off.has(box.dataset.shortcut);
  box.addEventListener('change', () => {
    if (box.checked) off.delete(box.dataset.shortcut); else off.add(box.dataset.shortcut);
    remember('postern_shortcuts', [...off].join('.'));
  });
}
document.addEventListener('keydown', (e) => {
  if (e.key === 'Escape') {
    for (const d of $$('details.menu[open]')) { d.open = false; $('summary', d).focus(); }
    if (document.body.classList.contains('nav-open')) drawer(false);
    return;
  }
  if (e.ctrlKey || e.metaKey || e.altKey || $('dialog[open]') || e.target.closest('input, textarea, select, [contenteditable]')) return;
  const was = after;
  after = '';
  if (was === 'g') {
    const to = { k: '/keys', a: '/activity', m: '/migration' }[e.key];
    if (to && !off.has(`g${e.key}`) && $(`.nav a[href="${to}"]`)) location.assign(to);
    return;
  }
  if (off.has({ '/': 'find', '?': 'list' }[e.key] ?? e.key)) return;
  switch (e.key) {
    case '/': { const q = $('[data-slash]') || $('#find'); if (q) { e.preventDefault(); q.focus(); q.select(); } break; }
    case 'g': after = 'g'; break;
    case 'c': { const a = $('[data-key-c]'); if (a) a.click(); break; }
    case '?': $('#shortcuts')?.showModal(); break;
  }
});

// Search never takes a secret, ours or another's, whole or in part: the server has the same rule.
const secretForms = [/[a-z0-9]_[a-z]{1,5}_[0-9A-Za-z]{16}_[0-9A-Za-z]/, /\bpat-[a-z]{2}\d-[0-9a-f-]{8,}/i, /\beyJ[\w-]{10,}\./i, /\b(?:sk|rk|ghp|gho|ghs|glpat|xox[abps])[-_][\w-]{16,}/i,
  /\bbearer\s+\S{8,}/i, /[0-9A-Za-z]{40,}/];
const secret = (text) => secretForms.some((form) => form.test(text));
for (const f of $$('[data-search]')) {
  if (f.dataset.search) {
    const box = $('input[name=q]', f);
    if (document.activeElement === box) import(f.dataset.search);
    else box.addEventListener('focus', () => { import(f.dataset.search); }, { once: true });
  }
  f.addEventListener('submit', (e) => {
    const q = $('input[name=q]', f);
    if (!secret(q.value)) return;
    e.preventDefault();
    q.value = '';
    say('That looks like a secret. We did not send it anywhere. Search with its last 4 characters.');
  });
}

for (const b of $$('.js-btn[hidden]')) b.hidden = !b.dataset.dialog;

// Dialogs. What opens one leads to a page that asks the same, without scripts.
document.addEventListener('click', (e) => {
  const b = e.target.closest('[data-dialog]');
  if (b) {
    const d = document.getElementById(b.dataset.dialog);
    if (!d) return;
    e.preventDefault();
    const m = b.closest('details.menu');
    if (m) m.open = false;
    d.showModal();
    d.addEventListener('close', () => (m ? $('summary', m) : b).focus(), { once: true });
    return;
  }
  if (e.target.matches('dialog')) e.target.close();
  if (e.target.closest('[data-close]')) e.target.closest('dialog').close();
});
for (const i of $$('input[data-match]')) {
  const b = $(`[data-needs="${i.id}"]`);
  const check = () => { b.disabled = i.value.trim() !== i.dataset.match; };
  check();
  i.addEventListener('input', check);
}

// Copy: the words of the button change in place, and are spoken once.
for (const b of $$('[data-copy]')) {
  b.hidden = false;
  b.addEventListener('click', async () => {
    const words = $('span', b);
    const had = words.textContent;
    try {
      await navigator.clipboard.writeText(b.dataset.copy || $(b.dataset.from).textContent);
    } catch {
      say('The browser did not let us copy. Select the text and copy it yourself.');
      return;
    }
    b.dispatchEvent(new CustomEvent('copied', { bubbles: true }));
    words.textContent = 'Copied';
    say(b.dataset.copied || 'Copied.');
    setTimeout(() => { words.textContent = had; }, 4000);
  });
}

// A form is sent once: a second press waits for the answer to the first.
document.addEventListener('submit', (e) => {
  if (e.defaultPrevented || e.target.method !== 'post') return;
  if (e.target.dataset.sent) { e.preventDefault(); return; }
  e.target.dataset.sent = '1';
  setTimeout(() => { delete e.target.dataset.sent; }, 10000);
});
addEventListener('pageshow', () => { for (const f of $$('form[data-sent]')) delete f.dataset.sent; });

// Selects and boxes that apply at once; without scripts a button does.
for (const s of $$('[data-autosend]')) s.addEventListener('change', () => s.form.requestSubmit());

// What is wrong takes the focus.
$('[data-errors]')?.focus();

// Charts: what a bar stands for, on hover. The same numbers are in a table.
export function charts(root = document) {
  for (const c of $$('.chart', root)) {
    const plot = $('.plot', c);
    const tip = document.createElement('div');
    tip.className = 'tip';
    tip.hidden = true;
    plot.append(tip);
    plot.addEventListener('pointermove', (e) => {
      const g = e.target.closest('g[data-tip]');
      if (!g) return;
      for (const x of $$('g.on', c)) x.classList.remove('on');
      g.classList.add('on');
      const [name, ...rows] = g.dataset.tip.split('\n');
      const b = document.createElement('b');
      b.textContent = name;
      tip.replaceChildren(b, ...rows.map((r) => {
        const [what, n] = r.split('\t');
        const s = document.createElement('span');
        const i = document.createElement('i');
        const em = document.createElement('em');
        i.textContent = what;
        em.textContent = n;
        s.append(i, em);
        return s;
      }));
      tip.hidden = false;
      const p = plot.getBoundingClientRect();
      const x = e.clientX - p.left;
      const left = Math.min(Math.max(0, x + (x > p.width / 2 ? -tip.offsetWidth - 14 : 14)), p.width - tip.offsetWidth);
      tip.style.left = `${left}px`;
    });
    plot.addEventListener('pointerleave', () => { tip.hidden = true; for (const x of $$('g.on', c)) x.classList.remove('on'); });
  }
}
charts();
globalThis.postern = { say, times, charts, secret };

// Two minutes before the session ends, one press keeps it. The server is asked before
// that, in a way that keeps nothing: another page may have kept it, or ended it.
const idle = Number(document.body.dataset.idle);
const ask = $('#idle');
if (idle && ask) {
  const early = 120;
  const stay = $('[data-stay]');
  let timer;
  const wait = (s) => { clearTimeout(timer); timer = setTimeout(look, s * 1000); };
  const show = (which) => {
    for (const p of $$('.db > p', ask)) p.hidden = !(which in p.dataset);
    $('button:not([data-close])', stay).hidden = which !== 'soon';
    $('[data-close]', stay).hidden = which === 'soon';
    if (!ask.open) ask.showModal();
    if (which !== 'soon') $('[data-close]', stay).focus();
  };
  // The seconds that are left: 0 where nobody is in, and no number where the server can't be asked.
  const left = async (how) => {
    try {
      const res = await fetch('/stay', { headers: { Accept: 'text/plain' }, ...how });
      if (res.status === 401 || res.redirected) return 0;
      return res.ok ? Number(await res.text()) : NaN;
    } catch {
      return NaN;
    }
  };
  async function look() {
    const s = await left();
    if (s > early + 1) {
      if (ask.open) ask.close();
      wait(s - early);
    } else if (s <= 0) {
      show('over');
    } else {
      if (!ask.open) show('soon');
      wait(Math.min(s + 1 || 15, 15));
    }
  }
  wait(Math.max(1, idle - early));
  stay.addEventListener('submit', async (e) => {
    e.preventDefault();
    e.stopImmediatePropagation();
    const s = await left({ method: 'POST', body: new URLSearchParams(new FormData(stay)) });
    delete stay.dataset.sent;
    if (s > early + 1) {
      ask.close();
      wait(s - early);
      say('You stay signed in.');
    } else if (s > 0) {
      show('last');
      wait(s + 1);
    } else if (s === 0) {
      show('over');
    } else {
      say('You could not be kept signed in. Save your work and sign in again.');
    }
  });
}
