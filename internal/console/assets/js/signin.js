// Passkeys, showing a password, and the time zone of a set-up. Each page works
// without, with a password or a code.
const $$ = (s) => [...document.querySelectorAll(s)];
const { say } = globalThis.postern;

// A passkey's form is shown where the browser can. Its button has the server ask,
// the browser answer, and the form carry the answer like any other.
const can = globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON;
for (const form of $$('form[data-passkey]')) {
  if (!can) continue;
  for (const e of $$(`[data-with="${form.id}"]`)) e.hidden = false;
  form.hidden = false;
  form.addEventListener('submit', async (e) => {
    if (form.elements.response.value) return;
    e.preventDefault();
    e.stopImmediatePropagation();
    const button = form.querySelector('button');
    const told = form.querySelector('[data-told]');
    button.disabled = true;
    told.hidden = true;
    try {
      const res = await fetch(form.dataset.begin, { method: 'POST', body: new URLSearchParams(new FormData(form)) });
      const asked = await res.json().catch(() => ({}));
      if (!res.ok || !asked.options) throw new Error(asked.error || 'This did not work. Open the page again.');
      const make = form.dataset.passkey === 'make';
      const key = make
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asked.options.publicKey) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asked.options.publicKey) });
      form.elements.ceremony.value = asked.ceremony;
      form.elements.response.value = JSON.stringify(key.toJSON());
      form.submit();
    } catch (err) {
      const words = {
        NotAllowedError: 'No passkey was used. Try again, or use another way.',
        InvalidStateError: 'This device has a passkey of yours already.',
      }[err.name] || err.message || 'This did not work. Try again, or use another way.';
      told.textContent = words;
      told.hidden = false;
      say(words);
      button.disabled = false;
    }
  });
}
// Who comes back to a page that was sent begins anew.
addEventListener('pageshow', () => {
  for (const form of $$('form[data-passkey]')) {
    form.elements.response.value = '';
    form.querySelector('button').disabled = false;
  }
});

for (const input of $$('input[type="password"]')) {
  const b = document.createElement('button');
  b.type = 'button';
  b.className = 'btn quiet small';
  b.textContent = 'Show the password';
  b.setAttribute('aria-controls', input.id);
  b.addEventListener('click', () => {
    const shown = input.type === 'text';
    input.type = shown ? 'password' : 'text';
    b.textContent = shown ? 'Show the password' : 'Hide the password';
    input.focus();
  });
  input.form.addEventListener('submit', () => { input.type = 'password'; });
  input.after(b);
}

const zone = document.getElementById('f-timeZone');
if (zone && zone.value === 'UTC') zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
