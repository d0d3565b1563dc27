// One key: choosing its scopes. Dialogs are opened by app.js.
const form = document.querySelector('[data-scopes]');
if (form) {
  const rows = [...form.querySelectorAll('.pick')];
  const boxes = [...form.querySelectorAll('input[name=scope]')];
  const was = new Set(boxes.filter((b) => b.defaultChecked).map((b) => b.value));
  const q = form.querySelector('#scope-q');
  const found = form.querySelector('[data-found]');
  const words = form.querySelector('[data-count]');
  const none = form.querySelector('[data-none]');
  const count = () => {
    const on = boxes.filter((b) => b.checked);
    const added = on.filter((b) => !was.has(b.value)).length;
    const gone = was.size - (on.length - added);
    for (const b of boxes) b.closest('.pick').classList.toggle('sel', b.checked);
    words.textContent = `${on.length} chosen${added ? `, ${added} more` : ''}${gone ? `, ${gone} fewer` : ''}`;
  };
  form.addEventListener('change', (e) => {
    const b = e.target;
    if (b.dataset.write !== undefined && b.checked) {
      const read = boxes.find((x) => x.value === b.value.replace(/\.write$/, '.read') && x !== b);
      if (read && !read.checked && !read.disabled) {
        read.checked = true;
        globalThis.postern.say('Read was ticked too. Most tools read before they write. Untick it if yours does not.');
      }
    }
    count();
  });
  q?.addEventListener('input', () => {
    const parts = q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const r of rows) {
      const hit = parts.every((p) => r.dataset.find.includes(p));
      r.hidden = !hit;
      n += hit;
      const path = hit && parts.some((p) => p.startsWith('/'));
      const d = r.querySelector('details');
      if (d && path) d.open = true;
    }
    for (const g of form.querySelectorAll('.sgroup')) g.hidden = !g.querySelector('.pick:not([hidden])');
    none.hidden = n > 0;
    found.textContent = parts.length ? `${n} of ${rows.length}` : '';
  });
  q?.addEventListener('keydown', (e) => { if (e.key === 'Enter') e.preventDefault(); });
  count();
}
