// The first steps: the page turns when a step was done elsewhere, or the first call came.
const card = document.querySelector('#first-steps');
if (card) {
  const had = card.querySelectorAll('li.done').length;
  const look = async () => {
    if (document.querySelector('#idle')?.open) return;
    if (!document.hidden) {
      try {
        const res = await fetch('/steps', { headers: { Accept: 'application/json' } });
        if (!res.ok || res.redirected) return;
        if ((await res.json()).done !== had) { location.reload(); return; }
      } catch { /* asked again below; the link checks too */ }
    }
    setTimeout(look, 5000);
  };
  setTimeout(look, 5000);
}
