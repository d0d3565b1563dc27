// A check that runs tells how far it is, and shows what it found once it has ended.
const box = document.querySelector('#audit-check[data-running]');
if (box) {
  const bar = document.querySelector('#check-progress');
  const words = document.querySelector('#check-words');
  const group = new Intl.NumberFormat('en');
  const look = async () => {
    try {
      const res = await fetch('/audit/check', { headers: { Accept: 'application/json' } });
      if (!res.ok || res.redirected) return;
      const s = await res.json();
      if (!s.running) { location.reload(); return; }
      if (s.total) {
        bar.max = s.total;
        bar.value = s.done;
        words.textContent = `${group.format(s.done)} of ${group.format(s.total)} entries`;
      }
    } catch { /* the link on the page still looks again */ }
    setTimeout(look, 700);
  };
  setTimeout(look, 500);
}
