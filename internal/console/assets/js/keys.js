// The list of keys: choosing several.
const form = document.querySelector('[data-bulk]');
if (form) {
  const all = form.querySelector('[data-all]');
  const boxes = [...form.querySelectorAll('input[name=id]')];
  const match = form.querySelector('input[name=all]');
  const bar = form.querySelector('[data-bulk-bar]');
  const words = form.querySelector('[data-chosen]');
  const show = () => {
    const n = boxes.filter((b) => b.checked).length;
    const every = match && match.checked;
    if (all) {
      all.checked = n > 0 && n === boxes.length;
      all.indeterminate = n > 0 && n < boxes.length;
    }
    if (!bar) return;
    for (const b of bar.querySelectorAll('button')) b.disabled = n === 0 && !every;
    bar.classList.toggle('on', n > 0 || every);
    words.textContent = every ? 'All that match are chosen.' : n === 0 ? 'Choose keys to pause, resume or delete them.' : n === 1 ? '1 key chosen' : `${n} keys chosen`;
  };
  all?.addEventListener('change', () => { for (const b of boxes) b.checked = all.checked; show(); });
  form.addEventListener('change', show);
  show();
}
