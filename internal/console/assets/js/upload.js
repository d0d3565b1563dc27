// A file on its way: how much of it was read, while the answer is awaited. Without
// scripts, or where another server reads it, the browser alone says that it is busy.
const { say } = globalThis.postern;
const mega = (n) => `${(n / 1048576).toFixed(1)} MB`;

for (const form of document.querySelectorAll('[data-upload]')) {
  const file = form.querySelector('input[type=file]');
  const box = form.querySelector('[data-progress]');
  const bar = box.querySelector('progress');
  const words = box.querySelector('[data-progress-words]');
  const wrong = form.querySelector('[data-upload-error]');
  let timer;

  file.addEventListener('change', () => { wrong.hidden = true; });
  form.addEventListener('submit', (e) => {
    const most = Number(file.dataset.most);
    if (file.files.length && most && file.files[0].size > most) {
      e.preventDefault();
      wrong.textContent = `The file has ${mega(file.files[0].size)}; at most ${mega(most)} are taken here. Send it in parts, or use the command line.`;
      wrong.hidden = false;
      file.focus();
      say(wrong.textContent);
      return;
    }
    box.hidden = false;
    say('Reading the file.');
    const ask = async () => {
      try {
        const res = await fetch(`/uploads/${form.dataset.upload}`, { headers: { Accept: 'application/json' } });
        if (res.ok) {
          const p = await res.json();
          if (p.known && p.total > 0) {
            bar.value = Math.min(100, (p.read * 100) / p.total);
            words.textContent = `${mega(p.read)} of ${mega(p.total)} read${p.done ? `, ${p.done.toLocaleString('en-GB')} lines done` : ''}.`;
          }
        }
      } catch { /* the page goes on without */ }
      timer = setTimeout(ask, 700);
    };
    timer = setTimeout(ask, 400);
  });
  // Back from the answer: the form can be sent again.
  addEventListener('pageshow', (e) => {
    if (!e.persisted) return;
    clearTimeout(timer);
    box.hidden = true;
  });
}
