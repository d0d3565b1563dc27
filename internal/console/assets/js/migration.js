// The page of an item follows its callers while it is open: who has moved, and how
// many calls each made. It ends after an hour, so that a forgotten page asks nothing.
const { say } = globalThis.postern;
const item = document.querySelector('[data-live-item]');
if (item) {
  const until = Date.now() + 60 * 60 * 1000;
  const rows = new Map([...document.querySelectorAll('[data-move]')].map((r) => [r.dataset.move, r]));
  const more = document.querySelector('[data-more]');
  let spoken = 0;
  const put = (e, text) => { if (e && e.textContent !== text) e.textContent = text; };
  const ask = async () => {
    if (document.visibilityState === 'visible') {
      try {
        const res = await fetch(item.dataset.liveItem, { headers: { Accept: 'application/json' } });
        if (!res.ok) return;
        const p = await res.json();
        const moved = [];
        let fresh = p.stage !== item.dataset.stage;
        for (const m of p.moves) {
          const row = rows.get(m.key);
          if (!row) { fresh = true; continue; }
          const pill = row.querySelector('.pill');
          if (pill.textContent !== m.words) moved.push(`${row.querySelector('th').textContent.trim()}: ${m.words}`);
          pill.className = m.kind ? `pill ${m.kind}` : 'pill';
          put(pill, m.words);
          put(row.querySelector('[data-old]'), m.old);
          put(row.querySelector('[data-new]'), m.new);
        }
        put(document.querySelector('[data-week]'), p.week);
        put(document.querySelector('[data-next]'), p.next);
        if (more) more.hidden = !fresh;
        if (moved.length && Date.now() - spoken > 60000) { spoken = Date.now(); say(moved.join('. ')); }
      } catch { /* the next one may work */ }
    }
    if (Date.now() < until) setTimeout(ask, 5000);
  };
  setTimeout(ask, 5000);
}
