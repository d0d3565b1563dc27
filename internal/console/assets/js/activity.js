// Calls as they come: off until switched on, and still while someone reads further down.
const button = document.querySelector('#live');
const bar = document.querySelector('#live-bar');
const words = document.querySelector('#live-words');
const table = document.querySelector('#calls-table');
const body = table.tBodies[0];
const row = document.querySelector('#live-row');
const most = 200;
let on = false;
let still = false;
let after = '';
let held = [];
let stop;

function show(text) { if (words.textContent !== text) words.textContent = text; }

function put(call) {
  const tr = row.content.firstElementChild.cloneNode(true);
  const set = (s, text) => { for (const e of tr.querySelectorAll(s)) e.textContent = text; };
  const t = tr.querySelector('time');
  t.dateTime = call.at;
  tr.querySelector('.call').href = call.link;
  set('.meth', call.method);
  set('[data-path]', call.path);
  set('[data-name]', call.name);
  set('[data-why]', call.why);
  set('[data-ip]', call.ip);
  set('[data-client]', call.client);
  set('[data-took]', call.took);
  set('.st', call.answer);
  tr.querySelector('.st').classList.add(call.kind);
  if (call.keyLink) tr.querySelector('[data-key]').href = call.keyLink; else tr.querySelector('[data-key]').removeAttribute('href');
  tr.classList.add('fresh');
  setTimeout(() => tr.classList.remove('fresh'), 4000);
  body.prepend(tr);
  while (body.rows.length > most) body.lastElementChild.remove();
  globalThis.postern?.times(tr);
}

function say() {
  bar.hidden = !on;
  bar.classList.toggle('still', still);
  if (!on) show('');
  else if (still) show(held.length ? `Held while you read: ${held.length === 1 ? '1 new call' : `${held.length} new calls`}. Scroll up to go on.` : 'Held while you read. Scroll up to go on.');
  else show('Live. New calls appear on top.');
}

function release() {
  if (held.length) {
    table.hidden = false;
    document.querySelector('#calls-none')?.remove();
    for (const c of held) put(c);
    held = [];
  }
}

async function ask(signal) {
  const url = new URL(button.dataset.live, location.href);
  if (after) url.searchParams.set('after', after);
  const res = await fetch(url, { headers: { Accept: 'application/json' }, signal });
  if (res.status === 401 || res.redirected) return null;
  if (!res.ok) throw new Error(res.status);
  return res.json();
}

async function run() {
  stop = new AbortController();
  const { signal } = stop;
  let wait = 1000;
  while (on) {
    try {
      const got = await ask(signal);
      if (!got) {
        turn(false);
        bar.hidden = false;
        bar.classList.add('still');
        show('You are signed out. Open the page again to go on.');
        return;
      }
      after = got.next;
      wait = 1000;
      held.push(...got.calls);
      held = held.slice(-most);
      if (!still) release();
      say();
      // So many pages wait already that this one has to ask again and again.
      if (got.pause) await new Promise((r) => { setTimeout(r, got.pause * 1000); });
    } catch {
      if (signal.aborted) return;
      show('The server could not be asked. Trying again.');
      await new Promise((r) => { setTimeout(r, wait); });
      wait = Math.min(wait * 2, 30000);
    }
    // Nobody there: the page asks whether they are, and the stream must not answer for them.
    if (document.querySelector('#idle')?.open) turn(false);
  }
}

function turn(to) {
  on = to;
  button.setAttribute('aria-pressed', on);
  if (on) { after = ''; held = []; run(); } else { stop?.abort(); }
  say();
}

function look() {
  const now = table.getBoundingClientRect().top < 0 || document.hidden;
  if (now === still) return;
  still = now;
  if (!still) release();
  if (on) say();
}

if (button) {
  button.hidden = false;
  button.addEventListener('click', () => turn(!on));
  addEventListener('scroll', look, { passive: true });
  document.addEventListener('visibilitychange', look);
  addEventListener('pagehide', () => turn(false));
}
