// The wait for a key's first call: a stream of events, or asking every 5 seconds
// where that breaks, or a link where neither works. It ends after 15 minutes, so
// that a forgotten page keeps nobody signed in.
const most = 15 * 60 * 1000;
const { say } = globalThis.postern;

for (const panel of document.querySelectorAll('[data-waiting]')) {
  const at = panel.dataset.waiting;
  const part = (name) => panel.querySelector(`[data-w-${name}]`);
  const tab = part('again').target;
  let token = panel.querySelector('input[name="_form"]')?.value ?? '';
  let shown = '';
  let state = panel.classList.contains('ok') ? 'ok' : '';
  let stream;
  let poll;
  let failed = 0;

  const make = (tag, text, className = '') => {
    const e = document.createElement(tag);
    if (className) e.className = className;
    e.textContent = text;
    return e;
  };
  const act = (a) => {
    const style = a.primary ? 'btn small primary' : 'btn small';
    if (!a.post) {
      const link = make('a', a.words, style);
      link.href = a.link;
      if (tab) { link.target = tab; link.rel = 'noopener'; }
      return link;
    }
    const form = document.createElement('form');
    form.method = 'post';
    form.action = a.link;
    for (const [name, value] of [['_form', token], [a.name, a.value]]) {
      const i = document.createElement('input');
      i.type = 'hidden';
      i.name = name;
      i.value = value;
      form.append(i);
    }
    form.append(make('button', a.words, style));
    return form;
  };
  const show = (p) => {
    token = p.token || token;
    const words = p.title + p.bits.map((b) => b.text).join('') + JSON.stringify(p.acts);
    if (words === shown) return;
    shown = words;
    panel.className = p.state === 'waiting' ? 'live' : `live ${p.state}`;
    part('title').textContent = p.title;
    part('text').replaceChildren(...p.bits.map((b) => (b.kind ? make(b.kind, b.text) : document.createTextNode(b.text))));
    part('acts').replaceChildren(...p.acts.map(act));
    if (p.state !== state) {
      state = p.state;
      part('said').textContent = `${p.title} ${p.bits.map((b) => b.text).join('')}`;
      panel.dispatchEvent(new CustomEvent('firstcall', { bubbles: true, detail: p.state }));
    }
    if (p.state === 'ok') stop();
  };
  const ask = async () => {
    try {
      const res = await fetch(`${at}.json`, { headers: { Accept: 'application/json' } });
      if (!res.ok || !res.headers.get('Content-Type').startsWith('application/json')) throw new Error('no answer');
      failed = 0;
      show(await res.json());
    } catch {
      if (++failed >= 3) stop(); // the link is left
    }
  };
  const askOften = () => {
    stream?.close();
    if (!poll) { poll = setInterval(ask, 5000); ask(); }
  };
  function stop() {
    stream?.close();
    clearInterval(poll);
    poll = -1;
    part('again').hidden = state === 'ok';
  }

  part('again').hidden = true;
  if (state === 'ok') continue;
  try {
    stream = new EventSource(`${at}/events`);
    let errors = 0;
    stream.addEventListener('message', (e) => { errors = 0; show(JSON.parse(e.data)); });
    stream.addEventListener('error', () => { if (stream.readyState === EventSource.CLOSED || ++errors >= 3) askOften(); });
  } catch {
    askOften();
  }
  setTimeout(stop, most);

  // A fix is sent without leaving the page: it may show a secret.
  panel.addEventListener('submit', async (e) => {
    e.preventDefault();
    const form = e.target;
    const button = form.querySelector('button');
    button.disabled = true;
    try {
      const res = await fetch(form.action, { method: 'POST', headers: { Accept: 'application/json' }, body: new URLSearchParams(new FormData(form)) });
      if (!res.ok || !res.headers.get('Content-Type').startsWith('application/json')) throw new Error('refused');
      show(await res.json());
      if (poll === -1 && state !== 'ok') { poll = 0; askOften(); }
    } catch {
      button.disabled = false;
      say('That could not be done from here. Do it on the key’s own page.');
    }
  });
}
